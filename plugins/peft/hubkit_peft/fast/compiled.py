"""Compiling a step of a layer once for all layers and any number of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def compiled(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` (a layer, then tensors), compiled: the first dimension of each tensor may change, the
    others are fixed. `dynamic=True` would free all of them, and numbers too: kernels are then 5 %
    slower, and a number such as a LoRA's scale became a C++ kernel that took 40 s to load."""
    made = torch.compile(step)

    def call(layer: Any, *inputs: Any) -> Any:
        return made(layer, *map(_free, inputs))

    return call


def _free(value: Any) -> Any:
    """A view is guarded by the shape of what it is a view of, hence not passed as one."""
    if isinstance(value, torch.Tensor):
        value = _Own.apply(value) if value._is_view() else value
        torch._dynamo.maybe_mark_dynamic(value, 0)
    return value


class _Own(torch.autograd.Function):
    """The same tensor, no longer known as a view."""

    @staticmethod
    def forward(ctx: Any, value: Any) -> Any:
        return value.detach()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad
