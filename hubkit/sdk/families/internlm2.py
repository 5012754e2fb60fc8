"""InternLM2 as Llama: the same function under other names, with queries, keys and values in one
tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..family import TensorMap
from .section import Section

_KEPT = (
    *(
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
    ),
    *(
        "hidden_act",
        "max_position_embeddings",
        "rms_norm_eps",
        "initializer_range",
        "bos_token_id",
        "eos_token_id",
    ),
    *("pad_token_id", "tie_word_embeddings", "torch_dtype", "rope_theta"),
)
_RENAMED = {
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


def llama_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `text_config` of the Llama that computes what this InternLM2 does.

    Raises:
        UsageError: it has biases, which Llama has in other places, or a rope that Llama does not
            have.
    """
    top = Section(config)
    if top.get("bias", bool, False):
        raise top.wrong(
            "bias", "is true: this InternLM2 cannot be written as a Llama without a loss"
        )
    rope = dict(config.get("rope_scaling") or {})
    kind = rope.pop("type", rope.pop("rope_type", "default"))
    if kind not in ("default", "linear", "dynamic"):
        raise top.wrong(
            "rope_scaling.type",
            f"is {kind!r}; InternLM2 has linear and dynamic, which Llama has too",
        )
    text = {key: config[key] for key in _KEPT if config.get(key) is not None}
    if kind != "default":
        text["rope_scaling"] = {
            "type": kind,
            "rope_type": kind,
            "factor": float(rope.get("factor", 1.0)),
        }
    return {
        **text,
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
    }


def internlm2_as_llama(text: Section, tied: bool = False) -> Iterator[TensorMap]:
    """For each of Llama's tensors (`name`) the InternLM2 tensor (`source`) and the rows of it that
    it is.

    `wqkv` holds for each key/value head the query heads that share it, then its key, then its
    value.
    """
    hidden, query = text.size("hidden_size"), text.size("num_attention_heads")
    kv, width = (
        text.size("num_key_value_heads", query),
        text.size("head_dim", max(1, hidden // query)),
    )
    if query % kv:
        raise text.wrong("num_key_value_heads", f"({kv}) must divide num_attention_heads ({query})")
    shared = query // kv
    cuts = {"q": (0, shared), "k": (shared, shared + 1), "v": (shared + 1, shared + 2)}
    starts = [group * (shared + 2) for group in range(kv)]
    yield TensorMap("model.embed_tokens.weight", "model.tok_embeddings.weight")
    for number in range(text.size("num_hidden_layers")):
        at = f"model.layers.{number}."
        for name, (first, last) in cuts.items():
            rows = tuple(((start + first) * width, (start + last) * width) for start in starts)
            yield TensorMap(f"{at}self_attn.{name}_proj.weight", f"{at}attention.wqkv.weight", rows)
        for name, source in _RENAMED.items():
            yield TensorMap(f"{at}{name}.weight", f"{at}{source}.weight")
    yield TensorMap("model.norm.weight", "model.norm.weight")
    if not tied:
        yield TensorMap("lm_head.weight", "output.weight")
