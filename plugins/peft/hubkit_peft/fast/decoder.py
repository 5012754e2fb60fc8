"""The decoder layers of Llama and its kin (Qwen2, Qwen3 and those of Qwen-VL, Mistral, InternLM2 as
Llama), over rows of tokens without padding.

A layer is two compiled functions with attention, which needs no compiler, between them. In the last
layer only rows that are asked for an answer go through the second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..shares import Share, release
from .attention import Spans, within
from .compiled import compiled
from .lora import Joint

_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj", "act_fn")
_KINDS = {
    *("llama", "mistral", "qwen2", "qwen3"),
    *("qwen2_vl_text", "qwen2_5_vl_text", "qwen3_vl_text"),
}
"""By model_type. Others have layers of the same parts and do something else with them: Granite
scales what it adds, Ernie's positions turn other pairs of columns, SmolLM3 leaves some out."""


def fits(text: Any, longest: int) -> bool:
    """Whether the language model is one that this module knows. It must be frozen but for LoRAs,
    and no sample longer than the positions it was made for (beyond them, rotary frequencies depend
    on the sample's length) or than what a token sees."""
    config = text.config
    window = getattr(config, "sliding_window", None)
    trained = {
        name
        for name, parameter in text.named_parameters()
        if parameter.requires_grad and "lora_" not in name
    }
    return (
        config.model_type in _KINDS
        and not trained
        and longest <= min(config.max_position_embeddings, window or longest)
        and not getattr(config, "attention_dropout", 0.0)
        and all(map(_fits, text.layers))
    )


def _fits(layer: Any) -> bool:
    """True when `layer` is made of the parts that this module knows, and of nothing else that has
    weights."""
    names = {name.split(".")[0] for name, _ in layer.named_parameters()}
    known = {"input_layernorm", "post_attention_layernorm", "self_attn", "mlp"}
    if names != known or not all(hasattr(layer.mlp, name) for name in _PARTS[1]):
        return False
    inner = {name.split(".")[0] for name, _ in layer.self_attn.named_parameters()}
    return inner - {"q_norm", "k_norm"} == set(_PARTS[0])


class Layer(torch.nn.Module):
    def __init__(self, layer: Any, number: int, steps: tuple[Any, Any]) -> None:
        super().__init__()
        self.steps = steps
        attn, mlp = layer.self_attn, layer.mlp
        self.head = attn.head_dim
        self.norm, self.second_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.q_norm: Any
        self.k_norm: Any
        self.q_norm, self.k_norm = getattr(attn, "q_norm", None), getattr(attn, "k_norm", None)
        self.qkv = Joint([attn.q_proj, attn.k_proj, attn.v_proj], 4 * number)
        self.out = Joint([attn.o_proj], 4 * number + 1)
        self.gate_up = Joint([mlp.gate_proj, mlp.up_proj], 4 * number + 2, apart=True)
        self.down = Joint([mlp.down_proj], 4 * number + 3)
        self.activation = mlp.act_fn

    def forward(self, hidden: Any, cos: Any, sin: Any, keys: Any, spans: Spans, rows: Any) -> Any:
        query, key, value = self.steps[0](self, hidden, cos, sin, keys)
        attended = within(True, query, key, value, spans)
        if rows is not None:
            hidden, attended, keys = (
                hidden[rows],
                attended[rows],
                None if keys is None else keys[rows],
            )
        return self.steps[1](self, hidden, attended, keys)

    def release(self) -> None:
        """Frees what PEFT's linears hold of the frozen weights: from now on only the joint ones are
        there."""
        for joint in (self.qkv, self.out, self.gate_up, self.down):
            release(joint.bases, "weight", "bias")


def asked(layer: Layer, hidden: Any, cos: Any, sin: Any, keys: Any) -> tuple[Any, Any, Any]:
    """Queries, keys and values (tokens, heads, head), rotated."""
    (both,) = layer.qkv(layer.norm(hidden), keys)
    query, key, value = (
        part.unflatten(1, (-1, layer.head)) for part in both.split(layer.qkv.sizes, 1)
    )
    if layer.q_norm is not None:
        query, key = layer.q_norm(query), layer.k_norm(key)
    return _rotated(query, cos, sin), _rotated(key, cos, sin), value


def answered(layer: Layer, hidden: Any, attended: Any, keys: Any) -> Any:
    """What follows attention: its output layer and the MLP, each added to `hidden` (tokens,
    width)."""
    hidden = hidden + layer.out(attended.flatten(1), keys)[0]
    gate, up = layer.gate_up(layer.second_norm(hidden), keys)
    return hidden + layer.down(layer.activation(gate) * up, keys)[0]


def _rotated(heads: Any, cos: Any, sin: Any) -> Any:
    first, second = heads.chunk(2, -1)
    return heads * cos[:, None] + torch.cat((-second, first), -1) * sin[:, None]


class Decoder(torch.nn.Module):
    """The layers of a language model; their parameters stay where they are, unless they are shared
    with other GPUs."""

    def __init__(
        self, layers: Any, compiling: bool, checkpointed: bool, share: Share | None = None
    ) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        steps: tuple[Any, Any] = (asked, answered)
        if compiling:
            steps = compiled(asked), compiled(answered)
        self.layers = torch.nn.ModuleList()
        for number, layer in enumerate(layers):
            self.layers.append(Layer(layer, number, steps))
            if share:
                self.layers[-1].release()
                share(self.layers[-1])
        if share:
            share(self)

    def forward(
        self,
        hidden: Any,
        cos: Any,
        sin: Any,
        keys: Any,
        spans: Spans,
        rows: Any,
        added: Sequence[Any] = (),
    ) -> Any:
        """(tokens, width) -> (rows, width): the last layer's output at `rows`. `added`, (tokens,
        width) each, are added to what the first layers make."""
        from torch.utils.checkpoint import checkpoint

        for number, layer in enumerate(self.layers):
            chosen = rows if layer is self.layers[-1] else None
            inputs = hidden, cos, sin, keys, spans, chosen
            if self.checkpointed and torch.is_grad_enabled():
                hidden = checkpoint(layer, *inputs, use_reentrant=False, preserve_rng_state=False)
            else:
                hidden = layer(*inputs)
            if number < len(added):
                hidden = hidden + (added[number] if chosen is None else added[number][chosen])
        return hidden
