// Streams and memory that the program around Tartan has. For builds with CUDA only.

#include <cuda_runtime_api.h>
#include <tartan/tartan.hpp>

#include <array>
#include <cstdlib>
#include <random>

#include "devices/both.hpp"
#include "support/error_text.hpp"

namespace tartan {
namespace {

using namespace testing;

class Stream {
 public:
  explicit Stream(Device device) {
    int before = 0;
    REQUIRE(cudaGetDevice(&before) == cudaSuccess);
    REQUIRE(cudaSetDevice(device.ordinal) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaSetDevice(before) == cudaSuccess);
  }
  ~Stream() { (void)cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  CUstream_st* get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

TEST_CASE("each call on another stream of the caller gives the bits of the processor") {
  for (unsigned trial = 0; trial < 6; ++trial) {
    INFO("trial " << trial);
    same_on_both<float>([&](const CartesianTopology& topology) {
      const auto device = topology.device();
      std::vector<std::unique_ptr<Stream>> streams;
      for (int i = 0; !device.is_cpu() && i < 3; ++i) streams.push_back(std::make_unique<Stream>(device));
      std::mt19937 random(trial);
      const auto somewhere = [&](const auto& call) {
        const auto which = random() % 4;
        if (device.is_cpu() || which == 3) return call();
        const cuda::StreamScope scope(device, streams[which]->get());
        call();
      };
      const bool sparse = trial % 3 == 2;
      const DistributedMultiEmbedding<float> tables(topology,
                                                    {.num_embeddings = {30, 500},
                                                     .embedding_dim = {12, 33},
                                                     .padding_idx = {{}, 3},
                                                     .max_norm = trial % 2 == 0 ? std::nullopt : std::optional(5.0),
                                                     .scale_grad_by_freq = trial % 3 == 1,
                                                     .sparse = sparse,
                                                     .exchange = trial < 3 ? Exchange::table : Exchange::rows});
      const DistributedEmbeddingBag<float> bags(
          topology, {.name = "bags", .num_embeddings = 77, .embedding_dim = 20, .padding_idx = 5, .sparse = sparse},
          {.mode = std::array{BagMode::sum, BagMode::mean, BagMode::max}[trial % 3]});
      auto parameters = tables.parameters();
      for (const auto& parameter : bags.parameters()) parameters.push_back(parameter);
      Adagrad<float> optimizer(parameters, {.learning_rate = 0.1});
      for (const Index n : {120, 600}) {
        GradientTape tape;
        DistributedTensor<Index> ids, in_bags;
        Variable<float> y, z, loss;
        somewhere([&] {
          ids = DistributedTensor<Index>::from_function(tables.input_distribution({n, 2}), [](auto i) {
            return (7 * i[0] * i[0] + i[1]) % (i[1] == 0 ? 30 : 500);
          });
        });
        somewhere([&] { in_bags = drawn_ids<Index>(bags.input_distribution({n / 4, 4}), 77); });
        somewhere([&] { y = tables(ids); });
        somewhere([&] { z = bags(Bags<Index>(in_bags)); });
        somewhere([&] {
          loss = sum(y * Variable<float>(drawn<float>(y.distribution(), "y"))) +
                 sum(z * Variable<float>(drawn<float>(z.distribution(), "z")));
          ids = in_bags = {};
          y = z = {};
        });
        somewhere([&] { tape.backward(loss); });
        somewhere([&] {
          optimizer.step();
          optimizer.clear_gradients();
        });
      }
      Results<float> results;
      for (const auto& parameter : parameters) results.emplace_back(parameter.name(), parameter.value().full_tensor());
      return results;
    });
  }
}

TEST_CASE("a scope takes streams of its device only, and does nothing on the processor") {
  if (no_devices()) return;
  const Stream stream(Device::cuda(0));
  {
    const cuda::StreamScope scope(Device{}, stream.get());
    CHECK(cuda::stream(Device::cuda(0)) != stream.get());
  }
  CHECK(error_text([&] { (void)cuda::stream(Device{}); }) == "the processor has no stream");
  if (cuda::device_count() < 2) return;
  CHECK_THROWS_AS(cuda::StreamScope(Device::cuda(1), stream.get()), CudaError);
  CHECK(cuda::stream(Device::cuda(1)) != stream.get());
  CHECK(Tensor<float>(Shape{3}, 2.0F).to(Device::cuda(1)).to(Device{})[2] == 2);  // the device still works
}

TEST_CASE("tensors go from one device of a rank to another and back") {
  if (no_devices() || cuda::device_count() < 2) return;
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) values.push_back(i);
  const auto host = Tensor<double>::from(Shape{1000}, std::span<const double>(values));
  const auto there = host.to(Device::cuda(0)).to(Device::cuda(1));
  CHECK(there.device() == Device::cuda(1));
  CHECK(same_bits(there.to(Device::cuda(0)).to(Device{}), host));
}

TEST_CASE("memory that a device has not is a CudaError with its code, in a backward pass too") {
  if (no_devices()) return;
  const auto topology = Partition(world()).cartesian({1, 1, world().size()}, Device::cuda());
  const auto code_of = [](const auto& call) {
    try {
      call();
    } catch (const CudaError& error) {
      return error.code();
    }
    return 0;
  };
  CHECK(code_of([&] { Tensor<float>(Shape{Index{1} << 44}, topology.device()); }) == cudaErrorMemoryAllocation);
  if (std::getenv("TARTAN_SIMULATED_CUDA_DEVICES") == nullptr) return;  // the size of real ones is not to be set
  const DistributedEmbedding<float> layer(topology, {.num_embeddings = 100'000, .embedding_dim = 16 * world().size()});
  const auto ids = drawn_ids<Index>(layer.input_distribution({10}), 100);
  GradientTape tape;
  const auto loss = sum(layer(ids));
  setenv("TARTAN_SIMULATED_CUDA_MEMORY", "1", 1);
  CHECK(code_of([&] { tape.backward(loss); }) == cudaErrorMemoryAllocation);
  unsetenv("TARTAN_SIMULATED_CUDA_MEMORY");
  CHECK(Tensor<float>(Shape{3}, 2.0F).to(topology.device()).to(Device{})[2] == 2);
}

}  // namespace
}  // namespace tartan
