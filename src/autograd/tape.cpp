#include <tartan/autograd/tape.hpp>

#include <algorithm>
#include <atomic>
#include <utility>

#include <tartan/comm/recorder.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "comm/overlap.hpp"

namespace tartan {
namespace {

thread_local GradientTape* innermost = nullptr;
thread_local GradientTape* in_replay = nullptr;
std::atomic<std::uint64_t> tapes_made = 0;  // of all threads: an id is of one tape alone
thread_local std::vector<std::uint64_t> not_over;

}  // namespace

GradientTape::GradientTape() : outer_{innermost}, id_{++tapes_made} {
  innermost = this;
  not_over.push_back(id_);
}

GradientTape::~GradientTape() {
  std::erase(not_over, id_);
  // Tapes may end in any order.
  for (GradientTape** link = &innermost; *link != nullptr; link = &(*link)->outer_) {
    if (*link == this) {
      *link = outer_;
      return;
    }
  }
}

GradientTape* GradientTape::active() noexcept { return innermost; }

GradientTape* GradientTape::replaying() noexcept { return in_replay; }

bool GradientTape::is_over(std::uint64_t id) noexcept { return std::ranges::find(not_over, id) == not_over.end(); }

void GradientTape::record(std::string name, std::function<void()> rule) {
  entries_.push_back({std::move(name), std::move(rule)});
}

void GradientTape::put_off(Distribution filled, std::function<void(const std::function<void()>&)> work) {
  catch_up();
  put_off_ = PutOff{std::move(filled), std::move(work)};
}

void GradientTape::catch_up() {
  if (!put_off_) return;
  const auto work = std::move(std::exchange(put_off_, {})->work);
  work([] {});
}

template <class T>
DistributedTensor<T> GradientTape::redistribute_meanwhile(const DistributedTensor<T>& x, const Distribution& to) {
  if (put_off_ && put_off_->filled == x.distribution()) catch_up();
  // A reduction that does not wait is none for a device's memory, and who has work left is agreed among the ranks of
  // one topology only: those that another one leaves out did not do theirs in its reductions.
  const bool agreed = put_off_ && put_off_->filled.topology() == x.topology() && x.topology() == to.topology();
  if (!agreed || !x.topology().device().is_cpu()) return redistribute(x, to);
  DistributedTensor<T> result;
  if (overlapped([&] { result = redistribute(x, to); }, put_off_->work)) put_off_.reset();
  return result;
}

void GradientTape::replay() {
  const BackwardScope backward;
  for (; !entries_.empty(); entries_.pop_back()) {
    try {
      entries_.back().rule();
    } catch (const RemoteError&) {
      throw;
    } catch (const MpiError&) {
      throw;
    } catch (const CudaError& error) {
      throw CudaError(fmt::format("in the backward pass of {}: {}", entries_.back().name, error.what()), error.code());
    } catch (const Error& error) {
      fail("in the backward pass of {}: {}", entries_.back().name, error.what());
    }
  }
}

void GradientTape::end(bool keep) {
  if (keep) catch_up();
  put_off_.reset();
  const auto end_pass = [keep]<class T>(const std::vector<Variable<T>>& reached) {
    Variable<T>::end_pass(reached, keep);
  };
  std::apply([&](const auto&... reached) { (end_pass(reached), ...); }, reached_);
  reached_ = {};
  std::erase(not_over, id_);
}

template <class T>
void GradientTape::backward(const Variable<T>& loss) {
  require(!replayed_, "a tape is replayed once");
  require(innermost == this, "a tape is replayed while another one inside it still records");
  require(loss.shape().dimensions() == 0, "backward needs a loss without dimensions, not {}",
          loss.distribution().to_string());
  require(loss.is_recorded_by(*this),
          "backward was asked of a loss that depends on no parameter recorded on this tape");
  replayed_ = true;
  innermost = outer_;
  // This pass may look at contributions that the one around it has put off.
  if (in_replay != nullptr) in_replay->catch_up();
  // A rule may replay a tape of its own.
  const struct Replaying {
    explicit Replaying(GradientTape* tape) { in_replay = tape; }
    ~Replaying() { in_replay = before; }
    GradientTape* before = in_replay;
  } replaying(this);
  try {
    loss.contribute(DistributedTensor<T>::constant(loss.distribution().gradient(), T{1}));
    replay();
    const BackwardScope backward;
    end(true);
  } catch (...) {
    end(false);
    throw;
  }
}

#define INSTANTIATE(T)                                      \
  template void GradientTape::backward(const Variable<T>&); \
  template DistributedTensor<T> GradientTape::redistribute_meanwhile(const DistributedTensor<T>&, const Distribution&);
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
