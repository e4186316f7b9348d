#!/usr/bin/env python3
"""Outputs, gradients and weights of PyTorch's nn.Embedding under its options.

tests/nn/pytorch.cpp makes the same calls. Needs PyTorch; writes embedding_values.hpp beside this file.
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
