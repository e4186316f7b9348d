#include <tartan/nn/prompt_embedding.hpp>

#include <tartan/autograd/operations.hpp>
#include <tartan/distributed/redistribution.hpp>

#include "base/element_types.hpp"
#include "base/fail.hpp"
#include "nn/lookup.hpp"

namespace tartan {
namespace {

/// Where the tasks of ids lie: as their first dimension.
Distribution beside(const Distribution& ids, const Distribution& tasks) {
  require(ids.shape().dimensions() > 0 && tasks.shape() == Shape{ids.shape()[0]},
          "a prompt embedding takes ids (B, ...) and tasks (B), not {} and {}", ids, tasks);
  require(ids.topology() == tasks.topology(), "a prompt embedding takes ids and tasks on one topology, not {} and {}",
          ids, tasks);
  auto placements = ids.placements();
  auto options = ids.options();
  for (std::size_t axis = 0; axis < placements.size(); ++axis) {
    if (!placements[axis].is_shard() || placements[axis].is_shard(0)) continue;
    placements[axis] = Replicate{};
    options.block_extents.erase(static_cast<int>(axis));
  }
  return {ids.topology(), tasks.shape(), std::move(placements), std::move(options)};
}

/// The ids of a batch as rows of the two tables: in each of them, ids of the other are -1, which is no row.
template <class I>
struct Parted {
  DistributedTensor<I> text;
  DistributedTensor<Index> prompts;

  /// Throws Error on every rank where an id or a task is out of range.
  Parted(const DistributedTensor<I>& ids, const DistributedTensor<I>& tasks, Index vocabulary, Index prompt_length,
         Index task_count) {
    const auto placed = beside(ids.distribution(), tasks.distribution());
    lookup::check_ids(ids, checked_add(vocabulary, prompt_length), {.table = "the text table with a prompt"});
    lookup::check_ids(tasks, task_count, {.id = "task", .table = "the prompt table", .rows = "tasks"});
    const auto task = redistribute(tasks, placed).local_on_host();
    const auto local = ids.local_on_host();
    const Index each = task.elements() == 0 ? 0 : local.elements() / task.elements();
    Tensor<I> of_text(local.shape());
    Tensor<Index> of_prompts(local.shape());
    for (Index i = 0; i < local.elements(); ++i) {
      const auto of_prompt = static_cast<Index>(local[i]) - vocabulary;
      of_text[i] = of_prompt < 0 ? local[i] : I{-1};
      of_prompts[i] = of_prompt < 0 ? -1 : static_cast<Index>(task[i / each]) * prompt_length + of_prompt;
    }
    text = DistributedTensor<I>::from_local(ids.distribution(), std::move(of_text), LocalCheck::none);
    prompts = DistributedTensor<Index>::from_local(ids.distribution(), std::move(of_prompts), LocalCheck::none);
    text.set_checked(vocabulary);
    prompts.set_checked(task_count * prompt_length);
  }
};

/// Rows of the text and, where those are none, of prompts: -0.0 + x is x.
template <class T, class I>
Variable<T> added(const lookup::Lookup<T, I>& text, const lookup::Lookup<T, Index>& prompts) {
  const auto rows = lookup::looked_up(text);
  return rows + redistribute(lookup::looked_up(prompts), rows.distribution());
}

}  // namespace

namespace functional {

template <class T, class I>
Variable<T> prompt_embedding(const DistributedTensor<I>& ids, const DistributedTensor<I>& tasks,
                             const Variable<T>& weight, const Variable<T>& prompts, Index prompt_length,
                             const EmbeddingOptions& options) {
  using lookup::Moving;
  require(weight.shape().dimensions() == 2 && prompts.shape().dimensions() == 2,
          "a prompt embedding takes a weight and prompts of two dimensions, not {} and {}", weight.distribution(),
          prompts.distribution());
  require(prompt_length >= 1 && prompts.shape()[0] % prompt_length == 0,
          "prompts {} are not of tasks with {} rows each", prompts.distribution(), prompt_length);
  auto placements = weight.distribution().placements();
  for (auto& placement : placements) {
    if (placement.is_shard(0)) placement = Replicate{};
  }
  const auto wanted = weight.distribution().with(std::move(placements));
  const Distribution needed(wanted.topology(), Shape{prompts.shape()[0], weight.shape()[1]}, wanted.placements(),
                            wanted.options());
  require(prompts.distribution() == needed,
          "a prompt embedding in a weight placed as {} takes prompts placed as {}, "
          "not {}",
          weight.distribution(), needed, prompts.distribution());
  (void)lookup::Route(ids.distribution(), weight.distribution(), Moving::nothing);
  const Parted<I> parted(ids, tasks, weight.shape()[0], prompt_length, prompts.shape()[0] / prompt_length);
  EmbeddingOptions of_prompts = options;
  of_prompts.padding_idx.reset();
  of_prompts.max_norm.reset();
  const lookup::Lookup<T, I> text(parted.text, weight, options, Moving::nothing);
  return added(text, lookup::Lookup<T, Index>(parted.prompts, prompts, of_prompts, Moving::nothing));
}

#define INSTANTIATE(T, I)                                                                                             \
  template Variable<T> prompt_embedding(const DistributedTensor<I>&, const DistributedTensor<I>&, const Variable<T>&, \
                                        const Variable<T>&, Index, const EmbeddingOptions&);
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace functional

namespace {

/// The options of the prompts' table.
EmbeddingLayerOptions of_prompts(EmbeddingLayerOptions text, const EmbeddingAxes& axes, const PromptOptions& prompts) {
  require(prompts.tasks >= 1 && prompts.prompt_length >= 1,
          "the prompt embedding '{}' needs tasks and a prompt_length of at least 1, not {} and {}", text.name,
          prompts.tasks, prompts.prompt_length);
  text.name += ".prompts";
  text.num_embeddings = checked_multiply(prompts.tasks, prompts.prompt_length);
  text.padding_idx.reset();
  text.max_norm.reset();
  text.freeze = prompts.freeze;
  text.initial = prompts.initial;
  text.axes = EmbeddingAxes{.data = axes.data, .rows = {}, .columns = axes.columns};
  return text;
}

}  // namespace

template <class T>
DistributedPromptEmbedding<T>::DistributedPromptEmbedding(const CartesianTopology& topology, Table text,
                                                          PromptOptions prompt_options)
    : prompt_options_(std::move(prompt_options)),
      text_(std::move(text)),
      prompts_(topology, of_prompts(text_.options(), text_.axes(), prompt_options_)) {
  this->add_parameters_of(text_);
  this->add_parameters_of(prompts_);
}

template <class T>
DistributedPromptEmbedding<T>::DistributedPromptEmbedding(const CartesianTopology& topology,
                                                          EmbeddingLayerOptions options, PromptOptions prompt_options)
    : DistributedPromptEmbedding(topology, Table(topology, std::move(options)), std::move(prompt_options)) {}

template <class T>
DistributedPromptEmbedding<T>::DistributedPromptEmbedding(const CartesianTopology& topology,
                                                          const DistributedTensor<T>& weight,
                                                          EmbeddingLayerOptions options, PromptOptions prompt_options)
    : DistributedPromptEmbedding(topology, Table(topology, weight, std::move(options)), std::move(prompt_options)) {}

template <class T>
template <class I>
Variable<T> DistributedPromptEmbedding<T>::operator()(const DistributedTensor<I>& ids,
                                                      const DistributedTensor<I>& tasks) const {
  const Parted<I> parted(ids, tasks, options().num_embeddings, prompt_options_.prompt_length, prompt_options_.tasks);
  const auto text = text_.look_up(parted.text, ids.distribution(), false);
  return text_.as_asked(added(text, prompts_.look_up(parted.prompts, ids.distribution(), false)));
}

#define INSTANTIATE(T) template class DistributedPromptEmbedding<T>;
TARTAN_FOR_EACH_FLOATING_TYPE(INSTANTIATE)
#undef INSTANTIATE

#define INSTANTIATE(T, I)                                                                     \
  template Variable<T> DistributedPromptEmbedding<T>::operator()(const DistributedTensor<I>&, \
                                                                 const DistributedTensor<I>&) const;
TARTAN_FOR_EACH_LOOKUP(INSTANTIATE)
#undef INSTANTIATE

}  // namespace tartan
