#include "base/fail.hpp"
#include "device/nccl.hpp"

// Takes the place of cuda_nccl.cpp in a build without NCCL.
namespace tartan::device {

bool nccl_built_in() noexcept { return false; }

const std::string& why_no_nccl() {
  static const std::string why = "this build of Tartan has no NCCL (configure with -DTARTAN_CUDA=ON -DTARTAN_NCCL=ON)";
  return why;
}

Identity identity(Device) { return {}; }

Nccl::Id Nccl::new_id() { fail("{}", why_no_nccl()); }
Nccl::Nccl(Device device, const Id&, int, int rank) : device_{device}, rank_{rank} { fail("{}", why_no_nccl()); }
Nccl::~Nccl() { (void)rank_, (void)comm_; }
void Nccl::broadcast(void*, std::size_t, int) const {}
void Nccl::all_gather(const void*, void*, std::span<const Index>, std::size_t) const {}
void Nccl::all_to_all(const void*, std::span<const Index>, void*, std::span<const Index>, std::size_t) const {}
void Nccl::reduce(const void*, void*, Index, Number, int) const {}
void Nccl::all_reduce(const void*, void*, Index, Number) const {}
void Nccl::reduce_scatter(const void*, void*, std::span<const Index>, Number) const {}

}  // namespace tartan::device
