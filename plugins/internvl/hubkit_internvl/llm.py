"""The language models that InternVL is built on: one description each, of official names, native
names and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import Experts

from . import mixtures
from .parts import Part, interleaved, whole
from .settings import Settings

OLD, NEW = "language_model.", "model.language_model."


@dataclass(frozen=True)
class Names:
    """Where official tensors stand in one kind of language model. The native names are Llama's
    throughout."""

    embeddings: str = "embed_tokens"
    head: str = "lm_head"
    attention_norm: str = "input_layernorm"
    mlp_norm: str = "post_attention_layernorm"
    output: str = "self_attn.o_proj"
    mlp: tuple[str, str, str] = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


@dataclass(frozen=True)
class Kind:
    """One architecture. `qkv` says how queries, keys and values are stored: apart, `grouped` by
    key/value head (InternLM2) or `fused` and fused natively too, as are gate and up (Phi-3).
    `linears` are the native linear layers. With `head_norms` each head's queries and keys are
    normalised (Qwen3). `experts` says how layers of experts are published: each expert's matrices
    `apart` (Qwen3-MoE), or all in one tensor, `stacked` (GPT-OSS)."""

    title: str
    model_type: str
    names: Names = Names()
    qkv: str = "apart"
    bias_key: str = ""
    qkv_bias: bool = False
    head_norms: bool = False
    experts: str = ""
    linears: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


KINDS: Mapping[str, Kind] = {
    "InternLM2ForCausalLM": Kind(
        title="InternLM2",
        model_type="llama",
        names=Names(
            embeddings="tok_embeddings",
            head="output",
            attention_norm="attention_norm",
            mlp_norm="ffn_norm",
            output="attention.wo",
            mlp=("feed_forward.w1", "feed_forward.w3", "feed_forward.w2"),
        ),
        qkv="grouped",
        bias_key="bias",
    ),
    "LlamaForCausalLM": Kind(title="Llama", model_type="llama", bias_key="attention_bias"),
    "Qwen2ForCausalLM": Kind(title="Qwen2", model_type="qwen2", qkv_bias=True),
    "Qwen3ForCausalLM": Kind(
        title="Qwen3", model_type="qwen3", bias_key="attention_bias", head_norms=True
    ),
    "Qwen3MoeForCausalLM": Kind(
        title="Qwen3-MoE",
        model_type="qwen3_moe",
        bias_key="attention_bias",
        head_norms=True,
        experts="apart",
    ),
    "GptOssForCausalLM": Kind(
        title="GPT-OSS",
        model_type="gpt_oss",
        bias_key="attention_bias",
        experts="stacked",
        linears=("q_proj", "k_proj", "v_proj", "o_proj"),
    ),
    "Phi3ForCausalLM": Kind(
        title="Phi-3",
        model_type="phi3",
        qkv="fused",
        linears=("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
}


@dataclass(frozen=True)
class Heads:
    """`size` is the width of one head."""

    query: int
    kv: int
    size: int


def kind_of(config: Mapping[str, Any]) -> Kind:
    llm = Settings(config, "llm_config")
    architectures = llm.values.get("architectures")
    name = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    if name not in KINDS:
        raise llm.wrong(
            "architectures", f"must name one of {', '.join(KINDS)}, not {architectures!r}"
        )
    return KINDS[name]


def heads_of(llm: Settings) -> Heads:
    hidden, query = llm.size("hidden_size"), llm.size("num_attention_heads")
    heads = Heads(
        query, llm.size("num_key_value_heads", query), llm.size("head_dim", max(1, hidden // query))
    )
    if heads.query % heads.kv:
        raise llm.wrong(
            "num_key_value_heads", f"({heads.kv}) must divide num_attention_heads ({heads.query})"
        )
    return heads


def parts(config: Mapping[str, Any]) -> Iterator[Part]:
    kind, llm = kind_of(config), Settings(config, "llm_config")
    hidden, vocabulary = llm.size("hidden_size"), llm.size("vocab_size")
    yield whole(
        f"{OLD}model.{kind.names.embeddings}.weight",
        f"{NEW}embed_tokens.weight",
        vocabulary,
        hidden,
    )
    sparse = set(mixtures.layers(kind.experts, llm))
    for layer in range(llm.size("num_hidden_layers")):
        old, new = f"{OLD}model.layers.{layer}.", f"{NEW}layers.{layer}."
        yield from _attention(kind, llm, old, new)
        if layer in sparse:
            yield from mixtures.parts(kind.experts, llm, f"{old}mlp.", f"{new}mlp.")
        else:
            yield from _mlp(kind, llm, old, new)
        yield whole(
            f"{old}{kind.names.attention_norm}.weight", f"{new}input_layernorm.weight", hidden
        )
        yield whole(
            f"{old}{kind.names.mlp_norm}.weight", f"{new}post_attention_layernorm.weight", hidden
        )
    yield whole(f"{OLD}model.norm.weight", f"{NEW}norm.weight", hidden)
    if not tied(config):
        yield whole(f"{OLD}{kind.names.head}.weight", "lm_head.weight", vocabulary, hidden)


def experts(config: Mapping[str, Any]) -> Iterator[Experts]:
    """What is in memory one parameter for all experts of a layer."""
    kind, llm = kind_of(config), Settings(config, "llm_config")
    for layer in mixtures.layers(kind.experts, llm):
        at = f"layers.{layer}.mlp."
        mixture = mixtures.mixture(kind.experts, llm)
        yield from mixture.experts(f"{NEW}{at}", f"{OLD}model.{at}")


def tied(config: Mapping[str, Any]) -> bool:
    """Whether the output head is the embedding table, and so not stored. Every kind's own
    default is no."""
    return Settings(config, "llm_config").get("tie_word_embeddings", bool, False)


def _attention(kind: Kind, llm: Settings, old: str, new: str) -> Iterator[Part]:
    hidden, heads = llm.size("hidden_size"), heads_of(llm)
    rows = [heads.query * heads.size, heads.kv * heads.size, heads.kv * heads.size]
    biased = bool(kind.bias_key) and llm.get(kind.bias_key, bool, False)
    for suffix, rest in (("weight", [hidden]), ("bias", [])):
        if suffix == "bias" and not (biased or kind.qkv_bias):
            continue
        q, k, v = (f"{new}self_attn.{name}_proj.{suffix}" for name in "qkv")
        if kind.qkv == "grouped":
            per_group = heads.query // heads.kv
            yield interleaved(
                f"{old}attention.wqkv.{suffix}", (q, k, v), heads.kv, per_group, heads.size, *rest
            )
        elif kind.qkv == "fused":
            yield whole(
                f"{old}self_attn.qkv_proj.{suffix}",
                f"{new}self_attn.qkv_proj.{suffix}",
                sum(rows),
                *rest,
            )
        else:
            for name, height in zip("qkv", rows, strict=True):
                yield whole(
                    f"{old}self_attn.{name}_proj.{suffix}",
                    f"{new}self_attn.{name}_proj.{suffix}",
                    height,
                    *rest,
                )
    for name in ("q_norm", "k_norm") if kind.head_norms else ():
        yield whole(f"{old}self_attn.{name}.weight", f"{new}self_attn.{name}.weight", heads.size)
    if kind.experts == "stacked":
        yield whole(f"{old}self_attn.sinks", f"{new}self_attn.sinks", heads.query)
    yield whole(
        f"{old}{kind.names.output}.weight", f"{new}self_attn.o_proj.weight", hidden, rows[0]
    )
    if biased:
        yield whole(f"{old}{kind.names.output}.bias", f"{new}self_attn.o_proj.bias", hidden)


def _mlp(kind: Kind, llm: Settings, old: str, new: str) -> Iterator[Part]:
    hidden, inner = llm.size("hidden_size"), llm.size("intermediate_size")
    if kind.qkv == "fused":
        yield whole(
            f"{old}mlp.gate_up_proj.weight", f"{new}mlp.gate_up_proj.weight", 2 * inner, hidden
        )
        yield whole(f"{old}mlp.down_proj.weight", f"{new}mlp.down_proj.weight", hidden, inner)
        return
    shapes = (
        ("gate_proj", inner, hidden),
        ("up_proj", inner, hidden),
        ("down_proj", hidden, inner),
    )
    for source, (name, rows, columns) in zip(kind.names.mlp, shapes, strict=True):
        yield whole(f"{old}{source}.weight", f"{new}mlp.{name}.weight", rows, columns)
