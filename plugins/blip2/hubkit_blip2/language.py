"""The language models inside BLIP-2 and InstructBLIP: names and shapes as transformers' OPT, T5 and
Llama have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk.families import DECODER_LINEARS, Section, Shapes, decoder, linear, normed
from hubkit.sdk.families.defaults import DECODERS

AT = "language_model."
OPT: Mapping[str, Any] = {
    **{"vocab_size": 50272, "hidden_size": 768, "ffn_dim": 3072, "num_hidden_layers": 12},
    **{"max_position_embeddings": 2048, "do_layer_norm_before": True, "enable_bias": True},
    **{"tie_word_embeddings": True, "eos_token_id": 2},
}
T5: Mapping[str, Any] = {
    **{"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6},
    **{"num_heads": 8, "relative_attention_num_buckets": 32, "feed_forward_proj": "relu"},
    "tie_word_embeddings": True,
}
"""What OPTConfig and T5Config (transformers 5.23) fill in for the keys that a config.json leaves
out."""


@dataclass(frozen=True)
class Kind:
    """`linears` take a LoRA; `title` is for people."""

    title: str
    linears: tuple[str, ...]
    defaults: Mapping[str, Any]


KINDS: Mapping[str, Kind] = {
    "opt": Kind("OPT", ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"), OPT),
    "t5": Kind("T5", ("q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo"), T5),
    "llama": Kind("Llama", DECODER_LINEARS, DECODERS["llama"]),
}


def kind_of(config: Mapping[str, Any]) -> tuple[str, Section]:
    """The language model's model_type, and its section with the defaults of its class.

    Raises:
        UsageError: it is another one.
    """
    text = Section(config, "text_config")
    name = text.get("model_type", str, "opt")
    if name not in KINDS:
        raise text.wrong("model_type", f"is {name!r}; known are {', '.join(KINDS)}")
    return name, Section(config, "text_config", KINDS[name].defaults)


def width(config: Mapping[str, Any]) -> int:
    name, text = kind_of(config)
    return text.size("d_model" if name == "t5" else "hidden_size")


def linears(config: Mapping[str, Any]) -> tuple[str, ...]:
    name, text = kind_of(config)
    if name != "t5":
        return KINDS[name].linears
    inner = ("wi_0", "wi_1") if _gated(text) else ("wi",)
    return tuple(one for one in KINDS[name].linears if not one.startswith("wi") or one in inner)


def shapes(config: Mapping[str, Any]) -> Shapes:
    name, text = kind_of(config)
    if name == "opt":
        yield from _opt(text)
    elif name == "t5":
        yield from _t5(text)
    else:
        tied = text.get("tie_word_embeddings", bool, False)
        yield from decoder(text, f"{AT}model.", f"{AT}lm_head.weight", tied)


def copies(config: Mapping[str, Any]) -> dict[str, str]:
    """Tensors that are another one in memory, and that some files hold once more."""
    name, text = kind_of(config)
    head = {f"{AT}lm_head.weight": table(name)} if _tied(name, text) else {}
    if name != "t5":
        return head
    stacks = {f"{AT}{stack}.embed_tokens.weight": table(name) for stack in ("encoder", "decoder")}
    return {**stacks, **head}


def table(name: str) -> str:
    """The embedding table's name in a language model of this model_type."""
    inner = {"opt": "model.decoder.embed_tokens", "t5": "shared"}
    return f"{AT}{inner.get(name, 'model.embed_tokens')}.weight"


def _tied(name: str, text: Section) -> bool:
    """T5's own class (transformers 5) writes true for all, and what Flan-T5 published as false is
    in `scale_decoder_outputs`."""
    tied = text.get("tie_word_embeddings", bool, False)
    return tied and (name != "t5" or text.get("scale_decoder_outputs", bool, True))


def _opt(text: Section) -> Shapes:
    hidden, inner = text.size("hidden_size"), text.size("ffn_dim")
    embedded = text.size("word_embed_proj_dim", hidden)
    bias, at = text.get("enable_bias", bool), f"{AT}model.decoder."
    rows = text.size("vocab_size")
    yield f"{at}embed_tokens.weight", (rows, embedded)
    yield f"{at}embed_positions.weight", (text.size("max_position_embeddings") + 2, hidden)
    if embedded != hidden:
        yield f"{at}project_in.weight", (hidden, embedded)
        yield f"{at}project_out.weight", (embedded, hidden)
    for number in range(text.size("num_hidden_layers")):
        layer = f"{at}layers.{number}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{layer}self_attn.{name}", hidden, hidden, bias)
        yield from normed(f"{layer}self_attn_layer_norm", hidden)
        yield from linear(f"{layer}fc1", inner, hidden, bias)
        yield from linear(f"{layer}fc2", hidden, inner, bias)
        yield from normed(f"{layer}final_layer_norm", hidden)
    if text.get("do_layer_norm_before", bool) and not text.get(
        "_remove_final_layer_norm", bool, False
    ):
        yield from normed(f"{at}final_layer_norm", hidden)
    if not _tied("opt", text):
        yield f"{AT}lm_head.weight", (rows, embedded)


def _t5(text: Section) -> Shapes:
    hidden, rows = text.size("d_model"), text.size("vocab_size")
    layers = text.size("num_layers")
    yield f"{AT}shared.weight", (rows, hidden)
    yield from _stack(text, "encoder", layers)
    yield from _stack(text, "decoder", text.size("num_decoder_layers", layers))
    if not _tied("t5", text):
        yield f"{AT}lm_head.weight", (rows, hidden)


def _stack(text: Section, stack: str, layers: int) -> Shapes:
    hidden, heads, inner = text.size("d_model"), text.size("num_heads"), text.size("d_ff")
    inner_heads = heads * text.size("d_kv")
    attentions = ("SelfAttention",) if stack == "encoder" else ("SelfAttention", "EncDecAttention")
    for number in range(layers):
        at = f"{AT}{stack}.block.{number}.layer."
        for place, name in enumerate(attentions):
            for one in "qkv":
                yield f"{at}{place}.{name}.{one}.weight", (inner_heads, hidden)
            yield f"{at}{place}.{name}.o.weight", (hidden, inner_heads)
            if number == 0 and place == 0:
                buckets = text.size("relative_attention_num_buckets")
                yield f"{at}{place}.{name}.relative_attention_bias.weight", (buckets, heads)
            yield f"{at}{place}.layer_norm.weight", (hidden,)
        place = len(attentions)
        for one in ("wi_0", "wi_1") if _gated(text) else ("wi",):
            yield f"{at}{place}.DenseReluDense.{one}.weight", (inner, hidden)
        yield f"{at}{place}.DenseReluDense.wo.weight", (hidden, inner)
        yield f"{at}{place}.layer_norm.weight", (hidden,)
    yield f"{AT}{stack}.final_layer_norm.weight", (hidden,)


def _gated(text: Section) -> bool:
    return text.get("feed_forward_proj", str).startswith("gated-")
