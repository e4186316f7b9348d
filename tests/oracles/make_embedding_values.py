#!/usr/bin/env python3
"""Outputs, gradients and weights of PyTorch's nn.Embedding and nn.EmbeddingBag under their options.

tests/nn/pytorch.cpp and tests/nn/embedding_bag_pytorch.cpp make the same calls. Needs PyTorch; writes
embedding_values.hpp and embedding_bag_values.hpp beside this file.
"""

import math

import torch

from values import dyadic, write_header

IDS = [[4, 1, 1, 0], [3, 1, 4, 0], [5, 6, 1, 0]]
CASES = {
    "plain": {},
    "padding_idx": dict(padding_idx=-6),
    "max_norm": dict(max_norm=0.75),
    "max_norm 1": dict(max_norm=1.25, norm_type=1.0),
    "max_norm 3.5": dict(max_norm=0.625, norm_type=3.5, padding_idx=4),
    "max_norm inf": dict(max_norm=0.5, norm_type=math.inf),
    "scale_grad_by_freq": dict(scale_grad_by_freq=True),
    "scale and padding": dict(scale_grad_by_freq=True, padding_idx=0),
    "sparse": dict(sparse=True, padding_idx=1),
    "all": dict(sparse=True, max_norm=0.75, padding_idx=-1),
}

OFFSETS = [0, 2, 2, 7, 8]
# Not scale_grad_by_freq: bags of PyTorch 1.13 divide by the count of another id than the one that is hit (not 2.14's).
BAGS = {
    "rows": dict(),
    "offsets": dict(),
    "padding_idx": dict(padding_idx=-7),
    "include_last_offset": dict(include_last_offset=True),
    "max_norm": dict(max_norm=0.75),
    "sparse": dict(sparse=True),
    "weighted": dict(),
    "weighted and padding": dict(padding_idx=1),
}


def leaves_out(name, mode):
    """What PyTorch does not have: per_sample_weights are for sums, and mode max has no sparse gradients."""
    return (mode != "sum" and "weighted" in name) or (mode == "max" and name == "sparse")


arrays = {}
for name, options in CASES.items():
    for dtype, suffix in ((torch.float32, "float"), (torch.float64, "double")):
        weight = dyadic((8, 3), 7, 0, 11, 8, dtype)
        layer = torch.nn.Embedding.from_pretrained(weight, freeze=False, **options)
        output = layer(torch.tensor(IDS))
        output.backward(dyadic(output.shape, 5, 1, 13, 16, dtype))
        arrays[f"{name}, {suffix}: output"] = output
        arrays[f"{name}, {suffix}: gradient"] = layer.weight.grad.to_dense()
        arrays[f"{name}, {suffix}: weight"] = layer.weight
write_header(__file__, "embedding_values", arrays)

arrays = {}
for name, options in BAGS.items():
    for mode in ("sum", "mean", "max"):
        if leaves_out(name, mode):
            continue
        for dtype, suffix in ((torch.float32, "float"), (torch.float64, "double")):
            layer = torch.nn.EmbeddingBag.from_pretrained(
                dyadic((8, 3), 7, 0, 11, 8, dtype), freeze=False, mode=mode, **options
            )
            ids = torch.tensor(IDS)
            weights = dyadic((12,), 3, 2, 9, 4, dtype).requires_grad_() if "weighted" in name else None
            if name == "rows":
                output = layer(ids)
            else:
                offsets = OFFSETS + ([ids.numel()] if "last" in name else [])
                output = layer(ids.flatten(), torch.tensor(offsets), weights)
            output.backward(dyadic(output.shape, 5, 1, 13, 16, dtype))
            key = f"{name}, {mode}, {suffix}"
            arrays[f"{key}: output"] = output
            arrays[f"{key}: gradient"] = layer.weight.grad.to_dense()
            if weights is not None:
                arrays[f"{key}: weights' gradient"] = weights.grad
write_header(__file__, "embedding_bag_values", arrays)
