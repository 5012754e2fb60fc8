"""Frozen linear layers that read the same input, with their LoRAs, as few large products.

    y = x W^T + drop(x) A^T (scale B)^T

q, k, v (and gate, up) read the same x: their frozen W stand in one matrix, their A in another, and
one dropped x serves all. The LoRA's share is added by the product itself (beta = 1), so no sum is
written twice; no gradient is computed for W, and x is not kept: only the dropped x, which dA needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .dropout import Dropout


class Joint(torch.nn.Module):
    """PEFT's linears over one input. Their parameters stay PEFT's own, float32; products are in the
    frozen weights' dtype."""

    def __init__(self, linears: Sequence[Any], place: int) -> None:
        super().__init__()
        bases = [getattr(linear, "base_layer", linear) for linear in linears]
        self.sizes = [base.weight.shape[0] for base in bases]
        weight = in_one(bases, "weight")
        self.weight = torch.nn.Parameter(weight, requires_grad=False)
        bias = (
            None
            if bases[0].bias is None
            else torch.nn.Parameter(in_one(bases, "bias"), requires_grad=False)
        )
        self.register_parameter("bias", bias)
        self.bases = tuple(bases)
        adapted = [linear for linear in linears if hasattr(linear, "lora_A")]
        self.downs = [linear.lora_A["default"].weight for linear in adapted]
        self.ups = [linear.lora_B["default"].weight for linear in adapted]
        self.scale = float(adapted[0].scaling["default"]) if adapted else 0.0
        rate = float(getattr(adapted[0].lora_dropout["default"], "p", 0.0)) if adapted else 0.0
        self.drop = Dropout(rate, place, weight.shape[1], weight.device) if rate else None

    def forward(self, x: Any, keys: Any) -> Any:
        """(tokens, in) -> (tokens, sum of outs); without dropout when `keys` are None."""
        if not self.downs:
            return torch.nn.functional.linear(x, self.weight, self.bias)
        down = torch.cat([part.to(x.dtype) for part in self.downs])
        up = torch.cat([(part * self.scale).to(x.dtype) for part in self.ups])
        if self.drop is not None and keys is not None:
            return joint(x, self.drop(x, keys), self.weight, self.bias, down, up, self.sizes)
        return joint(x, x, self.weight, self.bias, down, up, self.sizes)


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
    x: Any, dropped: Any, weight: Any, bias: Any, down: Any, up: Any, sizes: Sequence[int]
) -> Any:
    """`down` is (adapters * rank, in), `up` (sum of sizes, rank) with the scale in it."""
    return torch.ops.hubkit_peft.joint(x, dropped, weight, bias, down, up, list(sizes))[0]


@torch.library.custom_op(  # type: ignore[untyped-decorator, unused-ignore]
    "hubkit_peft::joint",
    mutates_args=(),
    schema="(Tensor x, Tensor dropped, Tensor weight, Tensor? bias, Tensor down, Tensor up, int[] "
    "sizes) -> (Tensor, Tensor)",
)
def _forward(
    x: Any, dropped: Any, weight: Any, bias: Any, down: Any, up: Any, sizes: Sequence[int]
) -> tuple[Any, Any]:
    out = torch.nn.functional.linear(x, weight, bias)
    inner = dropped @ down.T
    for part, low, high in zip(
        out.split(sizes, 1), inner.chunk(len(sizes), 1), up.split(sizes), strict=True
    ):
        part.addmm_(low, high.T)
    return out, inner


@_forward.register_fake  # type: ignore[untyped-decorator, unused-ignore]
def _(
    x: Any, dropped: Any, weight: Any, bias: Any, down: Any, up: Any, sizes: Sequence[int]
) -> tuple[Any, Any]:
    return x.new_empty(x.shape[0], weight.shape[0]), x.new_empty(x.shape[0], down.shape[0])


@torch.library.custom_op(  # type: ignore[untyped-decorator, unused-ignore]
    "hubkit_peft::joint_backward",
    mutates_args=(),
    schema="(Tensor grad, Tensor dropped, Tensor inner, Tensor weight, Tensor down, Tensor up, "
    "int[] sizes)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def _backward(
    grad: Any, dropped: Any, inner: Any, weight: Any, down: Any, up: Any, sizes: Sequence[int]
) -> tuple[Any, Any, Any, Any]:
    inner_grad, up_grad = torch.empty_like(inner), torch.empty_like(up)
    lows = zip(inner.chunk(len(sizes), 1), inner_grad.chunk(len(sizes), 1), strict=True)
    highs = zip(up.split(sizes), up_grad.split(sizes), strict=True)
    for part, (low, low_grad), (high, high_grad) in zip(
        grad.split(sizes, 1), lows, highs, strict=True
    ):
        torch.mm(part, high, out=low_grad)
        torch.mm(part.T, low, out=high_grad)
    return grad @ weight, inner_grad @ down, inner_grad.T @ dropped, up_grad


@_backward.register_fake  # type: ignore[untyped-decorator, unused-ignore]
def _(
    grad: Any, dropped: Any, inner: Any, weight: Any, down: Any, up: Any, sizes: Sequence[int]
) -> tuple[Any, Any, Any, Any]:
    return (
        torch.empty_like(dropped),
        torch.empty_like(dropped),
        torch.empty_like(down),
        torch.empty_like(up),
    )


def _keep(ctx: Any, inputs: Any, output: Any) -> None:
    _, dropped, weight, _, down, up, sizes = inputs
    ctx.save_for_backward(dropped, output[1], weight, down, up)
    ctx.sizes = sizes


def _gradients(ctx: Any, grad: Any, _: Any) -> Any:
    back = torch.ops.hubkit_peft.joint_backward(grad.contiguous(), *ctx.saved_tensors, ctx.sizes)
    return (back[0], back[1], None, None, back[2], back[3], None)


_forward.register_autograd(_gradients, setup_context=_keep)
