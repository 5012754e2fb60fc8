"""Frozen linear layers that read the same input, with their LoRAs, as few large products.

    y = x W^T + drop(x) A^T (scale B)^T

q, k, v (and gate, up) read the same x: their A stand in one matrix and one dropped x serves all. So
do the frozen W of q, k, v. Gate and up are large enough for a product each, and one kernel then
writes the gradients of both: 4 % of a layer's time on an H200. The LoRA's share is added by the
product itself (beta = 1), so no sum is written twice; no gradient is computed for W, and x is not
kept: only the dropped x, which dA needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch

from .dropout import Dropout


class Joint(torch.nn.Module):
    """PEFT's linears over one input, their outputs side by side or, `apart`, one by one. Their
    parameters stay PEFT's own, float32; products are in the frozen weights' dtype."""

    def __init__(self, linears: Sequence[Any], place: int, apart: bool = False) -> None:
        super().__init__()
        bases = [getattr(linear, "base_layer", linear) for linear in linears]
        self.sizes = [base.weight.shape[0] for base in bases]
        self.weights, self.biases = torch.nn.ParameterList(), torch.nn.ParameterList()
        for group in [[base] for base in bases] if apart else [bases]:
            self.weights.append(_frozen(in_one(group, "weight")))
            if bases[0].bias is not None:
                self.biases.append(_frozen(in_one(group, "bias")))
        self.bases = tuple(bases)
        adapted = [linear for linear in linears if hasattr(linear, "lora_A")]
        self.downs = [linear.lora_A["default"].weight for linear in adapted]
        self.ups = [linear.lora_B["default"].weight for linear in adapted]
        self.scale = float(adapted[0].scaling["default"]) if adapted else 0.0
        rate = float(getattr(adapted[0].lora_dropout["default"], "p", 0.0)) if adapted else 0.0
        weight = bases[0].weight
        self.drop = Dropout(rate, place, weight.shape[1], weight.device) if rate else None

    def forward(self, x: Any, keys: Any) -> list[Any]:
        """(tokens, in) -> [(tokens, outs)]; without dropout when `keys` are None."""
        weights, biases = list(self.weights), list(self.biases)
        if not self.downs:
            return _frozen_products(x, weights, biases)
        down = torch.cat([part.to(x.dtype) for part in self.downs])
        up = torch.cat([(part * self.scale).to(x.dtype) for part in self.ups])
        if self.drop is not None and keys is not None:
            return joint(x, self.drop(x, keys), weights, biases, down, up, self.sizes)
        return joint(x, x, weights, biases, down, up, self.sizes)


def _frozen(tensor: Any) -> Any:
    return torch.nn.Parameter(tensor, requires_grad=False)


def _frozen_products(x: Any, weights: Sequence[Any], biases: Sequence[Any]) -> list[Any]:
    return [
        torch.nn.functional.linear(x, weight, bias) for weight, bias in zip_longest(weights, biases)
    ]


def _parts(outs: Sequence[Any], sizes: Sequence[int]) -> Sequence[Any]:
    """Each linear's share of `outs`, which are one by one or side by side."""
    return outs if len(outs) == len(sizes) else outs[0].split(sizes, 1)


def in_one(layers: Sequence[Any], name: str) -> Any:
    """One tensor for all layers' `name`; each layer's own becomes a view of its rows, so that
    nothing is held twice."""
    if len(layers) == 1:
        return getattr(layers[0], name).data
    whole = torch.cat([getattr(layer, name).data for layer in layers])
    for layer, rows in zip(
        layers, whole.split([getattr(layer, name).shape[0] for layer in layers]), strict=True
    ):
        getattr(layer, name).data = rows
    return whole


def joint(
    x: Any,
    dropped: Any,
    weights: Sequence[Any],
    biases: Sequence[Any],
    down: Any,
    up: Any,
    sizes: Sequence[int],
) -> list[Any]:
    """`down` is (adapters * rank, in), `up` (sum of sizes, rank) with the scale in it."""
    outs: list[Any] = torch.ops.hubkit_peft.joint(x, dropped, weights, biases, down, up, sizes)
    return outs[:-1]


@torch.library.custom_op(  # type: ignore[untyped-decorator, unused-ignore]
    "hubkit_peft::joint",
    mutates_args=(),
    schema="(Tensor x, Tensor dropped, Tensor[] weights, Tensor[] biases, Tensor down, Tensor up, "
    "int[] sizes) -> Tensor[]",
)
def _forward(
    x: Any,
    dropped: Any,
    weights: Sequence[Any],
    biases: Sequence[Any],
    down: Any,
    up: Any,
    sizes: Sequence[int],
) -> list[Any]:
    outs = _frozen_products(x, weights, biases)
    inner = dropped @ down.T
    for part, low, high in zip(
        _parts(outs, sizes), inner.chunk(len(sizes), 1), up.split(sizes), strict=True
    ):
        part.addmm_(low, high.T)
    return [*outs, inner]


@_forward.register_fake  # type: ignore[untyped-decorator, unused-ignore]
def _(
    x: Any,
    dropped: Any,
    weights: Sequence[Any],
    biases: Sequence[Any],
    down: Any,
    up: Any,
    sizes: Sequence[int],
) -> list[Any]:
    return [x.new_empty(x.shape[0], weight.shape[0]) for weight in (*weights, down)]


@torch.library.custom_op(  # type: ignore[untyped-decorator, unused-ignore]
    "hubkit_peft::joint_backward",
    mutates_args=(),
    schema="(Tensor[] grads, Tensor dropped, Tensor inner, Tensor[] weights, Tensor down, Tensor up"
    ", int[] sizes) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _backward(
    grads: Sequence[Any],
    dropped: Any,
    inner: Any,
    weights: Sequence[Any],
    down: Any,
    up: Any,
    sizes: Sequence[int],
) -> tuple[Any, Any, Any, Any]:
    inner_grad, up_grad = torch.empty_like(inner), torch.empty_like(up)
    lows = zip(inner.chunk(len(sizes), 1), inner_grad.chunk(len(sizes), 1), strict=True)
    highs = zip(up.split(sizes), up_grad.split(sizes), strict=True)
    for part, (low, low_grad), (high, high_grad) in zip(
        _parts(grads, sizes), lows, highs, strict=True
    ):
        torch.mm(part, high, out=low_grad)
        torch.mm(part.T, low, out=high_grad)
    grad = grads[0] @ weights[0]
    for more, weight in zip(grads[1:], weights[1:], strict=True):
        grad.addmm_(more, weight)
    return grad, inner_grad @ down, inner_grad.T @ dropped, up_grad


@_backward.register_fake  # type: ignore[untyped-decorator, unused-ignore]
def _(
    grads: Sequence[Any],
    dropped: Any,
    inner: Any,
    weights: Sequence[Any],
    down: Any,
    up: Any,
    sizes: Sequence[int],
) -> tuple[Any, Any, Any, Any]:
    return (
        torch.empty_like(dropped),
        torch.empty_like(dropped),
        torch.empty_like(down),
        torch.empty_like(up),
    )


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    _, dropped, weights, biases, down, up, sizes = inputs
    ctx.save_for_backward(dropped, output[-1], down, up, *weights)
    ctx.sizes, ctx.biases = sizes, len(biases)


def _gradients(ctx: Any, grads: Sequence[Any]) -> Any:
    dropped, inner, down, up, *weights = ctx.saved_tensors
    outs = [grad.contiguous() for grad in grads[:-1]]
    back = torch.ops.hubkit_peft.joint_backward(outs, dropped, inner, weights, down, up, ctx.sizes)
    frozen = [None] * len(weights), [None] * ctx.biases
    return (back[0], back[1], *frozen, back[2], back[3], None)


_forward.register_autograd(_gradients, setup_context=_keep)
