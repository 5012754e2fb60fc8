"""The decoder layers of Llama and its kin (Qwen2, Qwen3, Mistral, InternLM2 as Llama), over rows of tokens without padding.

A layer is two compiled functions with attention, which needs no compiler, between them. In the last layer only rows that are
asked for an answer go through the second one.
"""

from __future__ import annotations

from typing import Any

import torch

from .attention import Spans, causal
from .lora import Joint

_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj", "act_fn")


def fits(layer: Any) -> bool:
    """True when `layer` is made of the parts that this module knows, and of nothing else that has weights."""
    names = {name.split(".")[0] for name, _ in layer.named_parameters()}
    known = {"input_layernorm", "post_attention_layernorm", "self_attn", "mlp"}
    if names != known or not all(hasattr(layer.mlp, name) for name in _PARTS[1]):
        return False
    inner = {name.split(".")[0] for name, _ in layer.self_attn.named_parameters()}
    return inner - {"q_norm", "k_norm"} == set(_PARTS[0])


class Layer(torch.nn.Module):
    def __init__(self, layer: Any, number: int) -> None:
        super().__init__()
        attn, mlp = layer.self_attn, layer.mlp
        self.head = attn.head_dim
        self.norm, self.second_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.q_norm: Any
        self.k_norm: Any
        self.q_norm, self.k_norm = getattr(attn, "q_norm", None), getattr(attn, "k_norm", None)
        self.qkv = Joint([attn.q_proj, attn.k_proj, attn.v_proj], 4 * number)
        self.out = Joint([attn.o_proj], 4 * number + 1)
        self.gate_up = Joint([mlp.gate_proj, mlp.up_proj], 4 * number + 2)
        self.down = Joint([mlp.down_proj], 4 * number + 3)
        self.activation = mlp.act_fn


def asked(layer: Layer, hidden: Any, cos: Any, sin: Any, keys: Any) -> tuple[Any, Any, Any]:
    """Queries, keys and values (tokens, heads, head), rotated."""
    both = layer.qkv(layer.norm(hidden), keys)
    query, key, value = (part.unflatten(1, (-1, layer.head)) for part in both.split(layer.qkv.sizes, 1))
    if layer.q_norm is not None:
        query, key = layer.q_norm(query), layer.k_norm(key)
    return _rotated(query, cos, sin), _rotated(key, cos, sin), value


def answered(layer: Layer, hidden: Any, attended: Any, keys: Any) -> Any:
    """What follows attention: its output layer and the MLP, each added to `hidden` (tokens, width)."""
    hidden = hidden + layer.out(attended.flatten(1), keys)
    gate, up = layer.gate_up(layer.second_norm(hidden), keys).chunk(2, 1)
    return hidden + layer.down(layer.activation(gate) * up, keys)


def _rotated(heads: Any, cos: Any, sin: Any) -> Any:
    first, second = heads.chunk(2, -1)
    return heads * cos[:, None] + torch.cat((-second, first), -1) * sin[:, None]


class Decoder:
    """The layers of a language model; their parameters stay where they are."""

    def __init__(self, layers: Any, compiled: bool, checkpointed: bool) -> None:
        self.layers = [Layer(layer, number) for number, layer in enumerate(layers)]
        self.checkpointed = checkpointed
        self._asked, self._answered = asked, answered
        if compiled:
            self._asked, self._answered = (torch.compile(step, dynamic=True) for step in (asked, answered))

    def __call__(self, hidden: Any, cos: Any, sin: Any, keys: Any, spans: Spans, rows: Any) -> Any:
        """(tokens, width) -> (rows, width): the last layer's output at `rows`."""
        from torch.utils.checkpoint import checkpoint

        for layer in self.layers:
            chosen = rows if layer is self.layers[-1] else None
            if self.checkpointed and torch.is_grad_enabled():
                hidden = checkpoint(
                    self._layer, layer, hidden, cos, sin, keys, spans, chosen, use_reentrant=False, preserve_rng_state=False
                )
            else:
                hidden = self._layer(layer, hidden, cos, sin, keys, spans, chosen)
        return hidden

    def _layer(self, layer: Layer, hidden: Any, cos: Any, sin: Any, keys: Any, spans: Spans, rows: Any) -> Any:
        attended = causal(*self._asked(layer, hidden, cos, sin, keys), spans)
        if rows is not None:
            hidden, attended, keys = hidden[rows], attended[rows], None if keys is None else keys[rows]
        return self._answered(layer, hidden, attended, keys)
