#!/usr/bin/env python3
"""Weights that PyTorch's optimisers leave after five steps, of which the third has no gradient.

tests/optim/pytorch.cpp takes the same steps. Needs PyTorch; writes optimizer_values.hpp beside this file.
"""

import torch

from values import dyadic, write_header

SHAPE = (5, 3)
STEPS = 5
SPARSE_ROWS = [[0, 3], [3], None, [1, 3, 4], [0, 4]]

DENSE = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "sgd dampening": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3)),
    "sgd nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
    "sgd weight_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.2)),
    "sgd all": (torch.optim.SGD, dict(lr=0.1, momentum=0.7, weight_decay=0.2, nesterov=True)),
    "adagrad": (torch.optim.Adagrad, dict(lr=0.1)),
    "adagrad options": (torch.optim.Adagrad, dict(lr=0.1, eps=1e-3, initial_accumulator_value=0.25)),
    "adam": (torch.optim.Adam, dict(lr=0.1)),
    "adam options": (torch.optim.Adam, dict(lr=0.1, betas=(0.5, 0.75), eps=1e-3)),
}
SPARSE = {
    "sparse sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sparse adagrad": (torch.optim.Adagrad, dict(lr=0.1, eps=1e-3, initial_accumulator_value=0.25)),
    "sparse adam": (torch.optim.SparseAdam, dict(lr=0.1)),
    "sparse adam options": (torch.optim.SparseAdam, dict(lr=0.1, betas=(0.5, 0.75), eps=1e-3)),
}


def gradient(step, dtype):
    return dyadic(SHAPE, 5, 3 * step, 13, 16, dtype)


def final_weight(optimizer, options, sparse, dtype):
    weight = torch.nn.Parameter(dyadic(SHAPE, 7, 0, 11, 8, dtype))
    steps = optimizer([weight], **options)
    for step in range(STEPS):
        rows = SPARSE_ROWS[step]
        weight.grad = None
        if rows is not None:
            weight.grad = gradient(step, dtype)
            if sparse:
                weight.grad = torch.sparse_coo_tensor([rows], weight.grad[rows], SHAPE).coalesce()
        steps.step()
    return weight


arrays = {}
for cases, sparse in ((DENSE, False), (SPARSE, True)):
    for name, (optimizer, options) in cases.items():
        for dtype, suffix in ((torch.float32, "float"), (torch.float64, "double")):
            arrays[f"{name}, {suffix}"] = final_weight(optimizer, options, sparse, dtype)
write_header(__file__, "optimizer_values", arrays)
