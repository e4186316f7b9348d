#!/usr/bin/env python3
"""Losses and gradients of PyTorch's cross_entropy for every option, and of logsumexp and the entropy.

tests/nn/cross_entropy_pytorch.cpp asks for the same. Needs PyTorch; writes cross_entropy_values.hpp beside this file.
"""

import torch
import torch.nn.functional as F

from values import dyadic, write_header

SHAPE = (4, 3, 7)  # the classes last
TARGETS = torch.tensor([(5 * i + 3) % 7 for i in range(12)])
IGNORED = TARGETS.clone()
IGNORED[[0, 4, 7, 11]] = 5

CASES = {
    "plain": (TARGETS, {}, False),
    "ignore_index": (IGNORED, dict(ignore_index=5), False),
    "label_smoothing": (TARGETS, dict(label_smoothing=0.25), False),
    "all smooth": (TARGETS, dict(label_smoothing=1.0), False),
    "weight": (TARGETS, {}, True),
    "all": (IGNORED, dict(ignore_index=5, label_smoothing=0.25), True),
}

arrays = {}
for dtype, suffix in ((torch.float32, "float"), (torch.float64, "double")):
    weight = dyadic((7,), 3, 1, 5, 4, dtype) + 1
    upstream = dyadic((12,), 5, 1, 13, 16, dtype)
    for name, (targets, options, weighted) in CASES.items():
        for reduction in ("mean", "sum", "none"):
            logits = dyadic(SHAPE, 7, 0, 23, 4, dtype).requires_grad_()
            loss = F.cross_entropy(logits.reshape(12, 7), targets, weight=weight if weighted else None,
                                   reduction=reduction, **options)
            (loss * upstream).sum().backward() if reduction == "none" else (0.75 * loss).backward()
            arrays[f"{name}, {reduction}, {suffix}: loss"] = loss.reshape(-1)
            arrays[f"{name}, {reduction}, {suffix}: gradient"] = logits.grad
    for name, function in (
        ("log_sum_exp", lambda x: torch.logsumexp(x, -1)),
        ("entropy", lambda x: torch.special.entr(torch.softmax(x, -1)).sum(-1)),
    ):
        logits = dyadic(SHAPE, 7, 0, 23, 4, dtype).requires_grad_()
        value = function(logits)
        (value.reshape(-1) * upstream).sum().backward()
        arrays[f"{name}, {suffix}: value"] = value
        arrays[f"{name}, {suffix}: gradient"] = logits.grad
write_header(__file__, "cross_entropy_values", arrays)
