#pragma once

// All of Tartan, floor by floor.

#include <tartan/base/box.hpp>
#include <tartan/base/decomposition.hpp>
#include <tartan/base/error.hpp>
#include <tartan/base/half_types.hpp>
#include <tartan/base/index.hpp>
#include <tartan/base/random.hpp>
#include <tartan/base/shape.hpp>
#include <tartan/base/threads.hpp>

#include <tartan/device/cuda.hpp>
#include <tartan/device/device.hpp>

#include <tartan/tensor/buffer.hpp>
#include <tartan/tensor/tensor.hpp>

#include <tartan/comm/agreement.hpp>
#include <tartan/comm/communicator.hpp>
#include <tartan/comm/environment.hpp>
#include <tartan/comm/recorder.hpp>

#include <tartan/partition/cartesian_topology.hpp>
#include <tartan/partition/distribution.hpp>
#include <tartan/partition/grid.hpp>
#include <tartan/partition/partition.hpp>
#include <tartan/partition/placement.hpp>
#include <tartan/partition/run.hpp>

#include <tartan/distributed/combine.hpp>
#include <tartan/distributed/distributed_tensor.hpp>
#include <tartan/distributed/inner_product.hpp>
#include <tartan/distributed/leaves.hpp>
#include <tartan/distributed/linear_operator.hpp>
#include <tartan/distributed/redistribution.hpp>
#include <tartan/distributed/row_exchange.hpp>
#include <tartan/distributed/row_hits.hpp>
#include <tartan/distributed/row_sparse.hpp>

#include <tartan/autograd/activations.hpp>
#include <tartan/autograd/attention.hpp>
#include <tartan/autograd/dropout.hpp>
#include <tartan/autograd/item.hpp>
#include <tartan/autograd/losses.hpp>
#include <tartan/autograd/normalization.hpp>
#include <tartan/autograd/operations.hpp>
#include <tartan/autograd/shapes.hpp>
#include <tartan/autograd/softmax.hpp>
#include <tartan/autograd/tape.hpp>
#include <tartan/autograd/variable.hpp>

#include <tartan/nn/applied_parameter.hpp>
#include <tartan/nn/bags.hpp>
#include <tartan/nn/cross_entropy.hpp>
#include <tartan/nn/dropout.hpp>
#include <tartan/nn/embedding.hpp>
#include <tartan/nn/embedding_bag.hpp>
#include <tartan/nn/embedding_table.hpp>
#include <tartan/nn/functional.hpp>
#include <tartan/nn/initializers.hpp>
#include <tartan/nn/linear.hpp>
#include <tartan/nn/local_embedding.hpp>
#include <tartan/nn/module.hpp>
#include <tartan/nn/multi_embedding.hpp>
#include <tartan/nn/normalization.hpp>
#include <tartan/nn/parallel.hpp>
#include <tartan/nn/prompt_embedding.hpp>
#include <tartan/nn/tensor_parallel_embedding.hpp>
#include <tartan/nn/top_k.hpp>

#include <tartan/optim/clipping.hpp>
#include <tartan/optim/optimizer.hpp>

#include <tartan/version.hpp>
