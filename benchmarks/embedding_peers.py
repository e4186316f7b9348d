#!/usr/bin/env python3
"""The row kernels against PyTorch's and FBGEMM's CPU operators: same process, same ids, one call of each in turn.

    embedding_peers.py LIBRARY [--threads 1,2] [--columns 4,...] [--cells gather,...] [--seconds S] [--cpu-time]

LIBRARY is libembedding_c.so of the build. Needs PyTorch; FBGEMM (package fbgemm-gpu-cpu) is measured where it imports.
A line is a cell: best times in ms of Tartan and of each peer, and the peers' over Tartan's; cells in which a peer is
faster end in "behind". Ratios of medians stand beside those of the best times: on a machine that does other things, too,
the best times say more, and with --threads 1 --cpu-time waiting for a core does not count at all.
"""

import argparse
import ctypes
import logging
import os
import statistics
import time

import torch

logging.disable(logging.WARNING)
try:
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
        ComputeDevice, EmbeddingLocation, SplitTableBatchedEmbeddingBagsCodegen)
except Exception as error:  # a missing package, or one that was built for another PyTorch
    SplitTableBatchedEmbeddingBagsCodegen = None
    why_no_fbgemm = str(error).splitlines()[0]

LOOKUPS, BAG, TABLES = 131072, 16, 26


def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


class Tartan:
    """The library, with tensors of PyTorch that lie in its memory."""

    def __init__(self, path):
        self.library = ctypes.CDLL(os.path.abspath(path))
        self.library.tartan_bench_memory.restype = ctypes.c_void_p

    def empty(self, *shape, dtype=torch.float32):
        count = 1
        for extent in shape:
            count *= extent
        size = count * torch.empty(0, dtype=dtype).element_size()
        address = self.library.tartan_bench_memory(ctypes.c_int64(size))
        data = (ctypes.c_byte * size).from_address(address)
        return torch.frombuffer(data, dtype=dtype).view(shape)

    def __getattr__(self, name):
        function = getattr(self.library, "tartan_bench_" + name)

        def call(*arguments):
            function(*[pointer(a) if isinstance(a, torch.Tensor) else a if a is None else ctypes.c_int64(a)
                       for a in arguments])

        return call


def ids_of(law, rows, count, generator):
    if law == "uniform":
        return torch.randint(0, rows, (count,), generator=generator)
    weights = torch.arange(1, rows + 1, dtype=torch.float64).pow(-1.05)
    steps = weights.cumsum(0) / weights.sum()
    ranks = torch.searchsorted(steps, torch.rand(count, dtype=torch.float64, generator=generator))
    return torch.randperm(rows, generator=generator)[ranks.clamp_(max=rows - 1)]


def batched(rows, columns, tables):
    """FBGEMM's tables on the CPU, with SGD fused into the backward pass; none where it does not import."""
    if SplitTableBatchedEmbeddingBagsCodegen is None:
        return None
    module = SplitTableBatchedEmbeddingBagsCodegen(
        [(rows, columns, EmbeddingLocation.HOST, ComputeDevice.CPU)] * tables, optimizer=EmbOptimType.EXACT_SGD,
        learning_rate=0.1, pooling_mode=PoolingMode.SUM)
    module.init_embedding_weights_uniform(-1, 1)
    return module


def cell(tartan, name, columns, law):
    """Tartan's call and {peer: its call}."""
    generator = torch.Generator().manual_seed(1)
    rows = 1_000_000 if columns <= 256 else 250_000
    ids = ids_of(law, rows, LOOKUPS, generator)
    bags = LOOKUPS // BAG
    offsets = torch.arange(0, LOOKUPS + 1, BAG)
    functional = torch.nn.functional

    def table():
        ours = tartan.empty(rows, columns).uniform_(-1, 1, generator=generator)
        return ours, ours.clone()

    if name == "tables":
        return many_tables(tartan, rows // TABLES, columns, law, generator)
    ours, theirs = table()
    terms = tartan.empty(LOOKUPS, columns).uniform_(-1, 1, generator=generator)
    their_terms = terms.clone()
    if name == "gather":
        return lambda: tartan.gather(ours, rows, columns, ids, LOOKUPS, terms), {
            "embedding": lambda: functional.embedding(ids, theirs),
            "index_select, out=": lambda: torch.index_select(theirs, 0, ids, out=their_terms)}
    if name == "accumulate":
        return lambda: tartan.accumulate(ours, rows, columns, ids, LOOKUPS, terms), {
            "index_add_": lambda: theirs.index_add_(0, ids, their_terms)}
    if name == "dense":
        return lambda: tartan.dense(ours, rows, columns, ids, LOOKUPS, terms), {
            "dense_backward": lambda: torch.ops.aten.embedding_dense_backward(their_terms, ids, rows, -1, False)}
    out = tartan.empty(bags, columns)
    if name == "max bag":
        winners = tartan.empty(bags, columns, dtype=torch.int64)
        return lambda: tartan.max_bags(ours, rows, columns, ids, offsets, bags, winners, out), {
            "embedding_bag": lambda: functional.embedding_bag(ids, theirs, offsets, mode="max",
                                                              include_last_offset=True)}
    tables = batched(rows, columns, 1)
    if name in ("bag", "weighted bag"):
        factors = torch.rand(LOOKUPS, generator=generator) if name == "weighted bag" else None
        peers = {"embedding_bag": lambda: functional.embedding_bag(
            ids, theirs, offsets, mode="sum", include_last_offset=True, per_sample_weights=factors)}
        if tables is not None:
            peers["fbgemm"] = lambda: tables(ids, offsets, factors)
        return lambda: tartan.sum_bags(ours, rows, columns, ids, offsets, bags, factors, out), peers
    assert name == "bag sgd", name
    sums, source = tartan.empty(LOOKUPS, columns), torch.arange(bags).repeat_interleave(BAG)
    theirs.requires_grad_()

    def forward_and_step():
        tartan.sum_bags(ours, rows, columns, ids, offsets, bags, None, out)
        tartan.sgd(ours, rows, columns, ids, LOOKUPS, source, terms, sums)

    def sparse():
        functional.embedding_bag(ids, theirs, offsets, mode="sum", include_last_offset=True,
                                 sparse=True).backward(their_terms[:bags])
        with torch.no_grad():
            theirs.add_(theirs.grad.coalesce(), alpha=-0.1)
        theirs.grad = None

    peers = {"sparse embedding_bag": sparse}
    if tables is not None:
        peers["fbgemm"] = lambda: tables(ids, offsets).backward(their_terms[:bags])
    return forward_and_step, peers


def many_tables(tartan, rows, columns, law, generator):
    batch = LOOKUPS // TABLES
    ours = tartan.empty(TABLES, rows, columns).uniform_(-1, 1, generator=generator)
    theirs = [ours[f].clone() for f in range(TABLES)]
    by_sample = torch.stack([ids_of(law, rows, batch, generator) for _ in range(TABLES)], 1).contiguous()
    by_table = by_sample.t().reshape(-1)
    one_each = torch.arange(TABLES * batch + 1)
    out = tartan.empty(batch, TABLES * columns)
    peers = {"embedding + cat": lambda: torch.cat(
        [torch.nn.functional.embedding(by_sample[:, f], theirs[f]) for f in range(TABLES)], 1)}
    tables = batched(rows, columns, TABLES)
    if tables is not None:
        peers["fbgemm"] = lambda: tables(by_table, one_each)
    return lambda: tartan.tables(ours, TABLES, rows, columns, by_sample, batch, out), peers


def milliseconds(call, clock):
    start = clock()
    call()
    return 1e3 * (clock() - start)


def measure(name, ours, peers, seconds, clock):
    """Times of everyone in turn, {who: [ms]}, for `seconds` and at least five rounds."""
    everyone = {"tartan": ours, **peers}
    times = {who: [] for who in everyone}
    end = time.monotonic() + seconds
    with torch.set_grad_enabled(name == "bag sgd"):
        for call in everyone.values():
            call()
        while len(times["tartan"]) < 5 or time.monotonic() < end:
            for who, call in everyone.items():
                time.sleep(0.002)  # the threads of the one before fall asleep
                times[who].append(milliseconds(call, clock))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--columns", default="4,16,32,64,128,256,1024")
    parser.add_argument("--cells", default="gather,accumulate,dense,bag,weighted bag,max bag,bag sgd,tables")
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    if options.cpu_time and options.threads != "1":
        parser.error("--cpu-time adds up the time of all threads: it needs --threads 1")
    clock = time.process_time if options.cpu_time else time.perf_counter
    tartan = Tartan(options.library)
    fbgemm = why_no_fbgemm if SplitTableBatchedEmbeddingBagsCodegen is None else "measured"
    print(f"PyTorch {torch.__version__}, FBGEMM: {fbgemm}; {LOOKUPS} lookups, bags of {BAG}, {TABLES} tables")
    print(f"load {os.getloadavg()[0]:.2f} before; best {'CPU ' if options.cpu_time else ''}times in ms"
          " (in brackets: ratio of medians)")
    behind = count = 0
    for columns in map(int, options.columns.split(",")):
        for law in "uniform", "zipf":
            for name in options.cells.split(","):
                ours, peers = cell(tartan, name, columns, law)
                for threads in map(int, options.threads.split(",")):
                    torch.set_num_threads(threads)
                    tartan.library.tartan_bench_set_threads(threads)
                    times = measure(name, ours, peers, options.seconds, clock)
                    best = {who: min(all_times) for who, all_times in times.items()}
                    middle = {who: statistics.median(all_times) for who, all_times in times.items()}
                    slower = any(best[who] < best["tartan"] for who in peers)
                    behind += slower
                    count += 1
                    against = "; ".join(f"{who} {best[who]:.3f} = {best[who] / best['tartan']:.2f}x"
                                        f" ({middle[who] / middle['tartan']:.2f}x)" for who in peers)
                    print(f"{name:12} {law:7} D {columns:4} threads {threads} | {best['tartan']:8.3f} | {against}"
                          + (" | behind" if slower else ""), flush=True)
                ours = peers = None
                tartan.library.tartan_bench_release()
    print(f"behind in {behind} of {count} cells; load {os.getloadavg()[0]:.2f} after")


if __name__ == "__main__":
    main()
