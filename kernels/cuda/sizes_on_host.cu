#include "kernels/cuda/sizes_on_host.hpp"

#include <deque>
#include <mutex>

#include "device/cuda_check.hpp"

namespace tartan::kernels {

/// Page-locked memory for one copy at a time, and the event that tells when it is done.
struct SizesOnHost::Slot {
  PlanSizes* sizes = nullptr;
  cudaEvent_t copied = nullptr;
  int device = 0;
  bool taken = false;
};

/// All slots of the process. Allocating page-locked memory stops a device, so a slot is kept for the next plan: one
/// that has been given back is free when its copy is done.
class SizesOnHost::Pool {
 public:
  static Pool& instance() {
    static auto* const pool = new Pool;  // plans may outlive static objects
    return *pool;
  }

  Slot* take() {
    int device = 0;
    check_cuda(cudaGetDevice(&device), "asking for the current device");
    const std::lock_guard lock(mutex_);
    for (Slot& slot : slots_) {
      if (slot.taken || slot.device != device || cudaEventQuery(slot.copied) != cudaSuccess) continue;
      slot.taken = true;
      return &slot;
    }
    Slot slot{.device = device, .taken = true};
    void* memory = nullptr;
    check_cuda(cudaMallocHost(&memory, sizeof(PlanSizes)), "allocating page-locked memory");
    slot.sizes = static_cast<PlanSizes*>(memory);
    check_cuda(cudaEventCreateWithFlags(&slot.copied, cudaEventDisableTiming), "making an event");
    return &slots_.emplace_back(slot);
  }

  void give_back(Slot* slot) {
    const std::lock_guard lock(mutex_);
    slot->taken = false;
  }

 private:
  std::mutex mutex_;
  std::deque<Slot> slots_;
};

SizesOnHost::SizesOnHost(const PlanSizes* sizes, cudaStream_t stream) : slot_{Pool::instance().take()} {
  check_cuda(cudaMemcpyAsync(slot_->sizes, sizes, sizeof(PlanSizes), cudaMemcpyDeviceToHost, stream),
             "copying the sizes of a plan");
  check_cuda(cudaEventRecord(slot_->copied, stream), "recording an event");
}

SizesOnHost::~SizesOnHost() { Pool::instance().give_back(slot_); }

const PlanSizes& SizesOnHost::wait() const {
  check_cuda(cudaEventSynchronize(slot_->copied), "waiting for a plan");
  return *slot_->sizes;
}

void SizesOnHost::order_before(cudaStream_t stream) const {
  check_cuda(cudaStreamWaitEvent(stream, slot_->copied, 0), "ordering streams");
}

int SizesOnHost::device() const { return slot_->device; }

}  // namespace tartan::kernels
