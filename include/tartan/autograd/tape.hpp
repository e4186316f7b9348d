#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <tartan/autograd/variable.hpp>

namespace tartan {

/// Records the operations of this thread from its construction to its destruction (or to backward()), and replays
/// their backward rules in strict reverse. All ranks, active or not, record the same list. Without a tape nothing is
/// recorded. Tapes nest: operations go to the innermost.
class GradientTape {
 public:
  GradientTape();
  ~GradientTape();
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  /// Collective over the topologies of what was recorded. Adds the gradient of `loss`, a 0-d variable, to every
  /// parameter that it depends on, in the parameter's own placement (Replicate for Partial ones). Ends the recording; a
  /// tape is replayed once. Throws Error where the loss is not 0-d, was not recorded here, or a tensor that a rule
  /// needs was modified since, or its gradient reaches what an earlier tape recorded: on every rank, as all see it.
  /// What one rank's rule alone throws (memory that is not there, a rule of the caller's own) is not agreed, because
  /// the others may sit in the collectives of later rules: it leaves that rank, and the job ends as Environment says.
  template <class T>
  void backward(const Variable<T>& loss);

  /// Of this tape alone, never 0.
  std::uint64_t id() const noexcept { return id_; }
  /// The innermost tape of this thread, or null.
  static GradientTape* active() noexcept;
  /// Whether the tape of this thread with this id was replayed or dropped, so that no gradients flow on it any more.
  static bool is_over(std::uint64_t id) noexcept;
  /// For operations: adds a backward rule. `name` appears in errors.
  void record(std::string name, std::function<void()> rule);
  /// For rules, while this tape is replayed: puts off the work that fills a contribution of the distribution `filled`,
  /// which was handed on already, to the next reduction of another distribution on the same topology, during which it
  /// is done; before anybody looks at such a contribution, when more is put off, and at the end of the pass at the
  /// latest. Every rank calls it. `work` calls the function that it is given from time to time.
  void put_off(Distribution filled, std::function<void(const std::function<void()>&)> work);
  /// Does what was put off.
  void catch_up();
  /// Collective: `x` under the distribution `to`, and what was put off meanwhile, unless it may be what fills x.
  template <class T>
  DistributedTensor<T> redistribute_meanwhile(const DistributedTensor<T>& x, const Distribution& to);
  /// The tape whose rules run on this thread now, or null.
  static GradientTape* replaying() noexcept;
  /// For parameters: the pass ends with its gradient brought home.
  template <class T>
  void reached(const Variable<T>& parameter) {
    std::get<std::vector<Variable<T>>>(reached_).push_back(parameter);
  }

 private:
  struct Entry {
    std::string name;
    std::function<void()> rule;
  };

  struct PutOff {
    Distribution filled;
    std::function<void(const std::function<void()>&)> work;
  };

  void replay();
  /// Ends the pass of the parameters that it reached: see Variable::end_pass().
  void end(bool keep);

  std::vector<Entry> entries_;
  std::optional<PutOff> put_off_;
  std::tuple<std::vector<Variable<float>>, std::vector<Variable<double>>, std::vector<Variable<bfloat16>>,
             std::vector<Variable<half>>>
      reached_;
  GradientTape* outer_;
  std::uint64_t id_;
  bool replayed_ = false;
};

/// A tensor that a backward rule needs as it was: get() throws Error where it was modified since.
template <class T>
class Saved {
 public:
  explicit Saved(DistributedTensor<T> tensor) : tensor_(std::move(tensor)), version_{tensor_.version()} {}
  const DistributedTensor<T>& get() const {
    if (tensor_.version() != version_) {
      throw Error("a tensor of " + tensor_.distribution().to_string() +
                  " was modified between the operation that used it and the backward pass that needs it");
    }
    return tensor_;
  }

 private:
  DistributedTensor<T> tensor_;
  std::uint64_t version_;
};

/// For operations: true where a tape records and any of the variables needs a gradient.
template <class... Variables>
bool records(const Variables&... inputs) {
  return GradientTape::active() != nullptr && (inputs.requires_gradient() || ...);
}

}  // namespace tartan
