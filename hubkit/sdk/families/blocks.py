"""Names and shapes of the parts that many models share, as transformers writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..family import TensorMap
from .defaults import DECODERS, VISION
from .section import Section

Shapes = Iterator[tuple[str, tuple[int, ...]]]

DECODER_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
CLIP_LINEARS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

CLIP = VISION["clip_vision_model"]
_TEXTS = ("llama", "mistral", "qwen2")
"""Language models whose tensors are named and shaped as decoder() says."""

_ORIGINAL = (
    ("multi_modal_projector.linear_1.", "mm_projector.0."),
    ("multi_modal_projector.linear_2.", "mm_projector.2."),
    ("vision_tower.", "vision_tower.vision_tower."),
    ("image_newline", "image_newline"),
)


def linear(name: str, rows: int, columns: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)


def normed(name: str, width: int, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def text_section(config: Mapping[str, Any], name: str = "text_config") -> Section:
    """The language model's section, completed by its class's defaults.

    Raises:
        UsageError: it is of another kind than decoder() knows.
    """
    text = Section(config, name)
    kind = text.get("model_type", str, "llama")
    if kind not in _TEXTS:
        raise text.wrong("model_type", f"is {kind!r}; known are {', '.join(_TEXTS)}")
    return Section(config, name, DECODERS[kind])


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` of a CLIP and a decoder with the defaults of both classes written out, for readers
    that do not have them."""
    text, vit = text_section(config), Section(config, "vision_config", CLIP)
    return {
        **config,
        "text_config": dict(text.values),
        "vision_config": dict(vit.values),
    }


def decoder(
    text: Section,
    layers: str,
    head: str,
    tied: bool,
    qkv_bias: bool = False,
    head_norms: bool = False,
    mlp: Callable[[int, str], Shapes] | None = None,
) -> Shapes:
    """A Llama-like decoder: embeddings, `layers`N and norm below `layers` less its last part, and
    the output head `head`. With `head_norms` each head's queries and keys are normalised
    (Qwen3). `mlp` gives what a layer, by its number, has below `mlp.` where that is no MLP; for
    others it yields nothing."""
    hidden, inner, vocabulary = (
        text.size("hidden_size"),
        text.size("intermediate_size"),
        text.size("vocab_size"),
    )
    query = text.size("num_attention_heads")
    kv, width = (
        text.size("num_key_value_heads", query),
        text.size("head_dim", max(1, hidden // query)),
    )
    biased, mlp_biased = text.get("attention_bias", bool, False), text.get("mlp_bias", bool, False)
    yield f"{layers}embed_tokens.weight", (vocabulary, hidden)
    for number in range(text.size("num_hidden_layers")):
        at = f"{layers}layers.{number}."
        for name, heads in (("q", query), ("k", kv), ("v", kv)):
            yield from linear(
                f"{at}self_attn.{name}_proj", heads * width, hidden, biased or qkv_bias
            )
        for name in ("q_norm", "k_norm") if head_norms else ():
            yield f"{at}self_attn.{name}.weight", (width,)
        yield from linear(f"{at}self_attn.o_proj", hidden, query * width, biased)
        own = tuple(mlp(number, f"{at}mlp.")) if mlp else ()
        yield from own or _mlp(f"{at}mlp.", hidden, inner, mlp_biased)
        yield f"{at}input_layernorm.weight", (hidden,)
        yield f"{at}post_attention_layernorm.weight", (hidden,)
    yield f"{layers}norm.weight", (hidden,)
    if not tied:
        yield head, (vocabulary, hidden)


def _mlp(at: str, hidden: int, inner: int, biased: bool) -> Shapes:
    for name in ("gate_proj", "up_proj"):
        yield from linear(f"{at}{name}", inner, hidden, biased)
    yield from linear(f"{at}down_proj", hidden, inner, biased)


def original_llava(layout: Iterable[str]) -> Iterator[TensorMap]:
    """The published names (`name`) of what the LLaVA repository's own code calls otherwise
    (`source`), with and without its outer `model.`; its trainers store projectors so."""
    for name in layout:
        for ours, theirs in _ORIGINAL:
            if name.startswith(ours):
                yield TensorMap(name, f"model.{theirs}{name[len(ours) :]}")
                if ours != theirs:
                    yield TensorMap(name, theirs + name[len(ours) :])


def clip_tower(vit: Section, prefix: str) -> Shapes:
    """CLIP's vision tower; `pre_layrnorm` is spelt so."""
    hidden, patch = vit.size("hidden_size"), vit.size("patch_size")
    yield f"{prefix}embeddings.class_embedding", (hidden,)
    yield (
        f"{prefix}embeddings.patch_embedding.weight",
        (hidden, vit.size("num_channels"), patch, patch),
    )
    yield (
        f"{prefix}embeddings.position_embedding.weight",
        ((vit.size("image_size") // patch) ** 2 + 1, hidden),
    )
    yield from normed(f"{prefix}pre_layrnorm", hidden)
    yield from _clip_layers(vit, prefix)
    yield from normed(f"{prefix}post_layernorm", hidden)


def _clip_layers(vit: Section, prefix: str) -> Shapes:
    hidden, inner = vit.size("hidden_size"), vit.size("intermediate_size")
    for number in range(vit.size("num_hidden_layers")):
        at = f"{prefix}encoder.layers.{number}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{at}self_attn.{name}", hidden, hidden)
        yield from linear(f"{at}mlp.fc1", inner, hidden)
        yield from linear(f"{at}mlp.fc2", hidden, inner)
        yield from normed(f"{at}layer_norm1", hidden)
        yield from normed(f"{at}layer_norm2", hidden)


def siglip_tower(vit: Section, prefix: str) -> Shapes:
    """SigLIP's vision tower: CLIP's without its class token, and with an attention in place of it
    unless `vision_use_head` is false."""
    hidden, patch = vit.size("hidden_size"), vit.size("patch_size")
    shape = (hidden, vit.size("num_channels"), patch, patch)
    yield f"{prefix}embeddings.patch_embedding.weight", shape
    yield f"{prefix}embeddings.patch_embedding.bias", (hidden,)
    places = (vit.size("image_size") // patch) ** 2
    yield f"{prefix}embeddings.position_embedding.weight", (places, hidden)
    yield from _clip_layers(vit, prefix)
    yield from normed(f"{prefix}post_layernorm", hidden)
    if vit.get("vision_use_head", bool, True):
        yield from _siglip_head(vit, f"{prefix}head.")


def _siglip_head(vit: Section, prefix: str) -> Shapes:
    hidden, inner = vit.size("hidden_size"), vit.size("intermediate_size")
    yield f"{prefix}probe", (1, 1, hidden)
    yield f"{prefix}attention.in_proj_weight", (3 * hidden, hidden)
    yield f"{prefix}attention.in_proj_bias", (3 * hidden,)
    yield from linear(f"{prefix}attention.out_proj", hidden, hidden)
    yield from normed(f"{prefix}layernorm", hidden)
    yield from linear(f"{prefix}mlp.fc1", inner, hidden)
    yield from linear(f"{prefix}mlp.fc2", hidden, inner)
