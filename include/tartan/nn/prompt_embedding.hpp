#pragma once

#include <tartan/nn/embedding_table.hpp>

namespace tartan {

namespace functional {

/// A lookup in two tables: ids in [0, V) of ids (B, ...) are rows of `weight` (V, D), and ids from V on are those of a
/// prompt: id V + i of the batch entry b is row tasks[b] · prompt_length + i of `prompts` (tasks · prompt_length, D).
/// The result has the shape of the ids with D appended, and the placements that embedding() gives for `weight`;
/// `prompts` lies like the weight, but for axes that shard the weight's rows, where it is Replicate.
///
/// tasks (B) lie as the first dimension of the ids, or are moved there (collective then). `options` are for the weight;
/// of them, scale_grad_by_freq, sparse and reproducible hold for the prompts too. Throws Error on every rank, before
/// anything changes, where shapes or placements do not meet, an id is outside [0, V + prompt_length), or a task outside
/// [0, tasks), naming it, its position and its rank; what is agreed is agreed once per tensor.
template <class T, class I>
Variable<T> prompt_embedding(const DistributedTensor<I>& ids, const DistributedTensor<I>& tasks,
                             const Variable<T>& weight, const Variable<T>& prompts, Index prompt_length,
                             const EmbeddingOptions& options = {});

}  // namespace functional

struct PromptOptions {
  Index tasks = 0;          ///< >= 1
  Index prompt_length = 0;  ///< >= 1, the virtual tokens of each task
  /// The prompts are no parameter. (The text table has EmbeddingLayerOptions::freeze.)
  bool freeze = false;
  Initializer initial = initializers::normal();
};

/// A text table, as DistributedEmbedding has it, and beside it the learned prompts of several tasks, whose rows ids
/// from num_embeddings on name: see functional::prompt_embedding. Prompt tuning freezes the text table and learns the
/// prompts.
///
///                        data axis         rows axis         columns axis
///     weight, stored     options.storage   Shard(0)          Shard(1)
///     prompts, stored    options.storage   Replicate         Shard(1)
///     ids, tasks         Shard(0)          Replicate         Replicate
///     output             Shard(0)          options.output    Shard(last)
///
/// The prompts are the parameter "<name>.prompts.weight"; padding_idx and max_norm are the text table's alone, the
/// other options hold for both. Element types: float, double, bfloat16, half; ids and tasks: int32, int64.
template <class T>
class DistributedPromptEmbedding : public Module<T> {
 public:
  /// Does not communicate. Throws Error, the same on every rank, where DistributedEmbedding does, and for less than one
  /// task or a prompt_length below 1.
  DistributedPromptEmbedding(const CartesianTopology& topology, EmbeddingLayerOptions options,
                             PromptOptions prompt_options);
  /// Collective where the weight has to move, over its root. The same with a text table that is given, as
  /// DistributedEmbedding takes it.
  DistributedPromptEmbedding(const CartesianTopology& topology, const DistributedTensor<T>& weight,
                             EmbeddingLayerOptions options, PromptOptions prompt_options);

  /// Collective over the topology: two lookups, each as that of a DistributedEmbedding; what moves along the rows axis
  /// is their sum.
  template <class I>
  Variable<T> operator()(const DistributedTensor<I>& ids, const DistributedTensor<I>& tasks) const;

  const EmbeddingLayerOptions& options() const noexcept { return text_.options(); }
  const PromptOptions& prompt_options() const noexcept { return prompt_options_; }
  const Variable<T>& weight() const noexcept { return text_.weight(); }
  const Variable<T>& prompts() const noexcept { return prompts_.weight(); }

  /// Where ids, or tasks, of `shape` are best put: see DistributedEmbedding.
  Distribution input_distribution(const Shape& shape) const { return text_.input_distribution(shape); }

 private:
  class Table : public EmbeddingTable<T> {
   public:
    Table(const CartesianTopology& topology, EmbeddingLayerOptions options)
        : EmbeddingTable<T>(topology, std::move(options)) {}
    Table(const CartesianTopology& topology, const DistributedTensor<T>& weight, EmbeddingLayerOptions options)
        : EmbeddingTable<T>(topology, weight, std::move(options)) {}
    using EmbeddingTable<T>::as_asked;
    using EmbeddingTable<T>::look_up;
  };

  DistributedPromptEmbedding(const CartesianTopology& topology, Table text, PromptOptions prompt_options);

  PromptOptions prompt_options_;
  Table text_;
  Table prompts_;
};

extern template class DistributedPromptEmbedding<float>;
extern template class DistributedPromptEmbedding<double>;
extern template class DistributedPromptEmbedding<bfloat16>;
extern template class DistributedPromptEmbedding<half>;

}  // namespace tartan
