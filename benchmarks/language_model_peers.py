#!/usr/bin/env python3
"""Training steps of examples/language_model's transformer in PyTorch on the CPU, tensor-parallel with gloo.

    python3 benchmarks/language_model_peers.py PROGRAM [RANKS [STEPS]]

starts RANKS processes of this file and then PROGRAM, the example, on as many ranks with the same sizes, one thread
each, and prints tokens a second of both and their ratio. Needs PyTorch with gloo (Debian's python3-torch has it) and
mpiexec; the corpus of the example must be there (--corpus of EXAMPLE_ARGUMENTS, an environment variable).
"""

import math
import os
import re
import shlex
import statistics
import subprocess
import sys
import time

LAYERS, WIDTH, HEADS, CONTEXT, BATCH, VOCABULARY = 2, 128, 4, 64, 16, 512


def worker(rank, ranks, steps):
    import torch
    import torch.distributed as dist
    import torch.nn as nn
    import torch.nn.functional as F

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="tcp://127.0.0.1:29511", rank=rank, world_size=ranks)
    torch.manual_seed(1)

    class Copy(torch.autograd.Function):
        """The same forward, a sum over ranks backward."""

        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            g = g.contiguous()
            dist.all_reduce(g)
            return g

    class Sum(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x = x.contiguous()
            dist.all_reduce(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    class ClassLoss(torch.autograd.Function):
        """The usual three all-reductions over shards of the classes."""

        @staticmethod
        def forward(ctx, logits, targets):
            greatest = logits.max(-1).values
            dist.all_reduce(greatest, op=dist.ReduceOp.MAX)
            logits = logits - greatest[..., None]
            first = rank * logits.shape[-1]
            mine = (targets >= first) & (targets < first + logits.shape[-1])
            column = torch.where(mine, targets - first, torch.zeros_like(targets))
            hit = torch.where(mine, logits.gather(-1, column[..., None])[..., 0], torch.zeros(()))
            dist.all_reduce(hit)
            logits.exp_()
            sums = logits.sum(-1)
            dist.all_reduce(sums)
            logits /= sums[..., None]
            ctx.save_for_backward(logits, column, mine)
            return (sums.log() - hit).mean()

        @staticmethod
        def backward(ctx, g):
            p, column, mine = ctx.saved_tensors
            gradient = p.clone()
            gradient.scatter_add_(-1, column[..., None], -mine[..., None].to(p.dtype))
            return gradient * (g / column.numel()), None

    heads, hidden, rows = HEADS // ranks, 4 * WIDTH // ranks, VOCABULARY // ranks

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH // ranks)
            self.out = nn.Linear(WIDTH // ranks, WIDTH, bias=rank == 0)
            self.up = nn.Linear(WIDTH, hidden)
            self.down = nn.Linear(hidden, WIDTH, bias=rank == 0)

        def forward(self, x):
            batch = x.shape[0]
            q, k, v = self.qkv(Copy.apply(self.norm1(x))).reshape(batch, CONTEXT, 3, heads, -1).permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)
            scores = scores.masked_fill(mask, float("-inf")).softmax(-1)
            seen = (scores @ v).transpose(1, 2).reshape(batch, CONTEXT, -1)
            x = x + Sum.apply(self.out(seen))
            return x + Sum.apply(self.down(F.gelu(self.up(Copy.apply(self.norm2(x))))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Parameter(0.02 * torch.randn(rows, WIDTH))
            self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, WIDTH))
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
            self.last = nn.LayerNorm(WIDTH)

        def forward(self, ids, targets):
            mine = (ids >= rank * rows) & (ids < (rank + 1) * rows)
            found = F.embedding(torch.where(mine, ids - rank * rows, torch.zeros_like(ids)), self.tokens)
            x = Sum.apply(found * mine[..., None]) + self.places
            for block in self.blocks:
                x = block(x)
            return ClassLoss.apply(Copy.apply(self.last(x)) @ self.tokens.t(), targets)

    mask = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1)
    model = Model()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    times = []
    for _ in range(steps):
        ids = torch.randint(VOCABULARY, (BATCH, CONTEXT + 1))
        dist.barrier()
        start = time.perf_counter()
        loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - start)
    if rank == 0:
        print(BATCH * CONTEXT / statistics.median(times[2:]), flush=True)
    dist.destroy_process_group()


def main():
    program, ranks, steps = sys.argv[1], int((sys.argv[2:] or [1])[0]), int((sys.argv[3:] or [30])[0])
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    peers = [
        subprocess.Popen([sys.executable, __file__, "--worker", str(r), str(ranks), str(steps)],
                         stdout=subprocess.PIPE, env=environment, text=True)
        for r in range(ranks)
    ]
    outputs = [peer.communicate()[0] for peer in peers]
    theirs = float(outputs[0])
    command = ["mpiexec", "--oversubscribe", "-n", str(ranks), program, "--grid", f"1x{ranks}", "--steps", str(steps),
               "--batch", str(BATCH), "--context", str(CONTEXT), "--vocabulary", str(VOCABULARY), "--layers",
               str(LAYERS), "--width", str(WIDTH), "--heads", str(HEADS), "--sample", "0"]
    shown = subprocess.run(command + shlex.split(os.environ.get("EXAMPLE_ARGUMENTS", "")), stdout=subprocess.PIPE,
                           env=environment, text=True, check=True).stdout
    ours = statistics.median(float(rate) for rate in re.findall(r"(\d+) tokens/s  ", shown))
    print(f"{ranks} ranks, load {os.getloadavg()[0]:.1f}: PyTorch {theirs:.0f} tokens/s, here {ours:.0f} tokens/s, "
          f"ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        worker(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
