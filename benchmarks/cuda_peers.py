#!/usr/bin/env python3
"""The row kernels against PyTorch's on the same GPU: same process, stream and ids, one call of each in turn.

    cuda_peers.py LIBRARY [--seconds S]

LIBRARY is libcuda_c.so of a build with TARTAN_CUDA=ON. Needs PyTorch with CUDA. A line is a cell: median times in ms of
Tartan and of PyTorch and the ratio of the two; with deterministic algorithms where PyTorch has them, and without. Times
are those of CUDA events; inputs take turns so that no cache serves them.
"""

import argparse
import ctypes
import os
import statistics
import time

import torch
import torch.nn.functional as F

DTYPES = {"float": torch.float32, "bfloat16": torch.bfloat16}


class Tartan:
    def __init__(self, path):
        self.library = ctypes.CDLL(os.path.abspath(path))

    def __call__(self, name, dtype, *arguments):
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        function = getattr(self.library, f"tartan_{name}_{dtype}")
        function(stream, *[ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else ctypes.c_int64(a)
                           for a in arguments])


def ids_of(law, rows, count):
    if law == "uniform":
        return torch.randint(0, rows, (count,), device="cuda")
    if law == "half on one":
        ids = torch.randint(0, rows, (count,), device="cuda")
        ids[torch.rand(count, device="cuda") < 0.5] = rows // 3
        return ids
    steps = torch.arange(1, rows + 1, dtype=torch.float64, device="cuda").pow(-1.05).cumsum(0)
    ranks = torch.searchsorted(steps / steps[-1], torch.rand(count, dtype=torch.float64, device="cuda"))
    return torch.randperm(rows, device="cuda")[ranks.clamp_(max=rows - 1)]


def milliseconds(calls, seconds):
    """Medians of CUDA event times of several functions that take turns."""
    for call in calls:
        call(0)
    torch.cuda.synchronize()
    times = [[] for _ in calls]
    end = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < end or turn < 5:
        for which, call in enumerate(calls):
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call(turn)
            stop.record()
            stop.synchronize()
            times[which].append(start.elapsed_time(stop))
        turn += 1
    return [statistics.median(t) for t in times]


def close(a, b, what):
    error = (a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30)
    limit = 2e-2 if a.dtype == torch.bfloat16 else 1e-4
    if not error < limit:
        raise SystemExit(f"{what}: differs from PyTorch by {error:.2e}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--seconds", type=float, default=0.5)
    arguments = parser.parse_args()
    tartan = Tartan(arguments.library)
    print(f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}: ms of Tartan, ms of PyTorch, times as fast")

    def line(cell, *calls, names):
        mine, *theirs = milliseconds(calls, arguments.seconds)
        peers = "  ".join(f"{name} {t:8.3f} {t / mine:6.2f}x" for name, t in zip(names, theirs))
        print(f"{cell:52} {mine:8.3f}  {peers}", flush=True)

    for kind, rows, columns, count, law in [
            ("float", 1_000_000, 16, 131072, "uniform"), ("float", 1_000_000, 64, 131072, "zipf"),
            ("float", 1_000_000, 128, 8192, "uniform"), ("float", 1_000_000, 128, 131072, "uniform"),
            ("float", 1_000_000, 128, 131072, "zipf"), ("float", 1_000_000, 128, 1048576, "zipf"),
            ("float", 1_000_000, 1024, 131072, "uniform"), ("bfloat16", 128256, 4096, 16384, "zipf"),
            ("bfloat16", 151936, 8192, 8192, "zipf"), ("float", 100_000, 32, 7_770_000, "half on one")]:
        dtype = DTYPES[kind]
        table = torch.randn(rows, columns, device="cuda").to(dtype)
        batches = [ids_of(law, rows, count) for _ in range(3)]
        terms = torch.randn(count, columns, device="cuda").to(dtype)
        out = torch.empty(count, columns, device="cuda", dtype=dtype)
        cell = f"{kind} {rows} x {columns}, {count} {law}"

        tartan("gather", kind, table, rows, columns, batches[0], count, out)
        if not torch.equal(out, F.embedding(batches[0], table)):
            raise SystemExit("gather: differs from PyTorch")
        line(f"forward   {cell}", lambda i: tartan("gather", kind, table, rows, columns, batches[i % 3], count, out),
             lambda i: torch.index_select(table, 0, batches[i % 3], out=out), names=["index_select"])

        gradient = torch.empty_like(table)
        tartan("dense", kind, gradient, rows, columns, batches[0], count, terms)
        dense = torch.ops.aten.embedding_dense_backward
        if law != "half on one" or kind == "float":
            close(gradient, dense(terms, batches[0], rows, -1, False), "dense backward")
        line(f"dense     {cell}", lambda i: tartan("dense", kind, gradient, rows, columns, batches[i % 3], count, terms),
             lambda i: dense(terms, batches[i % 3], rows, -1, False), names=["embedding_dense_backward"])

        def add(deterministic):
            def call(i):
                torch.use_deterministic_algorithms(deterministic)
                table.index_add_(0, batches[i % 3], terms)
            return call

        line(f"add       {cell}", lambda i: tartan("accumulate", kind, table, rows, columns, batches[i % 3], count, terms),
             add(False), add(True), names=["index_add_", "deterministic"])
        torch.use_deterministic_algorithms(False)

        bag = 16
        if count % bag == 0 and columns <= 128:
            offsets = torch.arange(0, count + 1, bag, device="cuda")
            pooled = torch.empty(count // bag, columns, device="cuda", dtype=dtype)
            line(f"bags {bag}   {cell}",
                 lambda i: tartan("bags", kind, table, rows, columns, batches[i % 3], offsets, count // bag, pooled),
                 lambda i: F.embedding_bag(batches[i % 3], table, offsets[:-1], mode="sum"), names=["embedding_bag"])
        del table, terms, out, gradient, batches
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
