#!/usr/bin/env python3
"""Outputs and gradients of PyTorch's linear layers.

tests/nn/linear_pytorch.cpp computes the same. Needs PyTorch; writes linear_values.hpp beside this file.
"""

import torch

from values import dyadic, write_header

SIZES = {"5 to 4": (5, 4), "2 to 3": (2, 3), "7 to 12": (7, 12), "1 to 1": (1, 1)}
ROWS = (3, 2)

arrays = {}
for name, (features, outputs) in SIZES.items():
    for biased in (True, False):
        layer = torch.nn.Linear(features, outputs, bias=biased, dtype=torch.float64)
        x = dyadic((*ROWS, features), 7, 0, 11, 8, torch.float64).div(3).requires_grad_()
        layer.weight.data = dyadic((outputs, features), 5, 2, 13, 16, torch.float64).div(7)
        if biased:
            layer.bias.data = dyadic((outputs,), 3, 1, 7, 4, torch.float64).div(5)
        y = layer(x)
        y.backward(dyadic(y.shape, 5, 1, 9, 8, torch.float64).div(3))
        label = f"{name}, {'bias' if biased else 'no bias'}, "
        arrays |= {label + "y": y, label + "x": x.grad, label + "weight": layer.weight.grad}
        if biased:
            arrays[label + "bias"] = layer.bias.grad
write_header(__file__, "linear_values", arrays)
