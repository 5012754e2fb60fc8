"""Memory and time of a training, predicted from the model's configuration and the records' lengths
alone.

The bytes a token keeps for the backward pass were counted tensor by tensor and agree with what
torch reports on an H200 at InternVL2-2B's shapes (89 KB a token and layer at rank 128, compiled);
operations are those of the products.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .options import Options

BATCHES = (16, 8, 4, 2, 1)
_RESERVE = 0.9  # of the free memory: the allocator's own losses and the libraries' workspaces


@dataclass(frozen=True)
class Size:
    """Of one record: tokens with picture positions, tokens that are learnt, tiles (patches, where a
    processor arranges the pictures)."""

    tokens: int
    answers: int
    tiles: int


@dataclass(frozen=True)
class Forecast:
    """`operations` are floating-point operations of one average sample, forward and backward;
    `memory` is in bytes."""

    batch_size: int
    checkpointing: bool
    steps: int
    samples: int
    operations: float
    memory: int
    shares: int = 1

    def seconds(self, rate: float) -> float:
        """At `rate` operations a second, on all devices together."""
        return self.samples * self.operations / rate


class Predictor:
    """`config` is the native config.json, without `image_size` where pictures are counted in
    patches; `precision` bytes a frozen weight, `trained` parameters
    in float32, `shares` the number of GPUs that the frozen layers are shared over."""

    def __init__(
        self,
        config: Mapping[str, Any],
        options: Options,
        weights: int,
        trained: int,
        shares: int = 1,
    ) -> None:
        self._width: int
        self._inner: int
        self._layers: int
        self._vocabulary: int
        self._query: int
        self._shared: int
        self._patches: int
        self._seen: tuple[int, int, int]
        text, vision = config["text_config"], config["vision_config"]
        self._options, self._weights, self._trained, self.shares = options, weights, trained, shares
        self._layers, self._width, self._inner = (
            text["num_hidden_layers"],
            text["hidden_size"],
            _inner(text),
        )
        heads = text["num_attention_heads"]
        head = text.get("head_dim") or self._width // heads
        self._query, self._shared = heads * head, text.get("num_key_value_heads", heads) * head
        self._vocabulary = text["vocab_size"]
        self._seen = vision["hidden_size"], vision["intermediate_size"], vision["num_hidden_layers"]
        self._patches, self._at_once = 1, 1 << 30
        if "image_size" in vision:
            side = _side(vision["image_size"]) // _side(vision["patch_size"])
            self._patches, self._at_once = side**2 + 1, 64

    def memory(
        self, sizes: Sequence[Size], batch_size: int, checkpointing: bool, bytes_each: int
    ) -> int:
        """At the peak of a step with the longest records, in bytes."""
        longest = sorted(sizes, key=lambda size: -size.tokens)[:batch_size]
        tokens, answers = longest[0].tokens * len(longest), sum(size.answers for size in longest)
        layer = self._kept()
        kept = 2 * self._width if checkpointing else layer
        passing = 3 * self._inner + 4 * self._width + (layer if checkpointing else 0)
        tiles = sum(size.tiles for size in longest)
        vit = tiles * self._patches * (2 * self._seen[1] + 6 * self._seen[0]) if tiles else 0
        activations = int(
            bytes_each
            * (
                tokens * (kept * self._layers + passing)
                + min(tiles, self._at_once) * vit // max(1, tiles)
            )
        )
        logits = min(answers, 2048) * self._vocabulary * (8 + bytes_each)
        return self._held(bytes_each) + self._trained * (16 + bytes_each) + activations + logits

    def _held(self, bytes_each: int) -> int:
        """Frozen weights, in bytes. Shared: embedding and head whole, this GPU's share of the
        layers, two layers gathered."""
        if self.shares == 1:
            return self._weights
        ends = min(self._weights, 2 * bytes_each * self._width * self._vocabulary)
        return ends + (self._weights - ends) // self.shares + 2 * bytes_each * self._layer()

    def _layer(self) -> int:
        """Frozen weights of a decoder layer."""
        return self._width * (2 * self._query + 2 * self._shared) + 3 * self._width * self._inner

    def _kept(self) -> int:
        """Numbers that a layer keeps for each token: what each product's LoRA and each non-linear
        step need again."""
        inner = 7 * self._options.rank
        return (
            2 * self._width
            + self._query
            + self._inner
            + inner
            + 2 * self._width
            + 2 * self._query
            + 2 * self._shared
            + 2 * self._inner
            + self._width
        )

    def operations(self, size: Size) -> float:
        """Of one sample: frozen products forward and backward to their input, LoRAs also to their
        weights, attention, ViT."""
        frozen = self._layer()
        adapters = self._options.rank * (
            6 * self._width + 2 * self._query + 2 * self._shared + 3 * self._inner
        )
        attention = 3.5 * 2 * size.tokens**2 * self._query
        text = self._layers * (
            size.tokens * (4 * frozen + 6 * adapters * ("llm" in self._options.lora)) + attention
        )
        width, inner, layers = self._seen
        vit = layers * (
            2 * self._patches * (4 * width**2 + 2 * width * inner) + 4 * self._patches**2 * width
        )
        passes = 3 if "vit" in (*self._options.lora, *self._options.full) else 1
        return text + passes * size.tiles * vit + 4 * size.answers * self._width * self._vocabulary

    def fits(
        self,
        sizes: Sequence[Size],
        batch_size: int,
        checkpointing: bool,
        free: int,
        bytes_each: int,
    ) -> bool:
        return self.memory(sizes, batch_size, checkpointing, bytes_each) <= _RESERVE * free

    def choose(self, sizes: Sequence[Size], free: int, bytes_each: int) -> tuple[int, bool]:
        """(batch_size, checkpointing): the options' where they say, else the largest batch that
        fits in `free` bytes without checkpointing, else with it."""
        asked, checkpointing = self._options.batch_size, self._options.gradient_checkpointing
        batches = (asked,) if asked else BATCHES
        for again in (False, True) if checkpointing == "auto" else (checkpointing,):
            for batch in batches:
                if self.fits(sizes, batch, again, free, bytes_each):
                    return batch, again
        return batches[-1], checkpointing is not False


def predict(
    predictor: Predictor,
    sizes: Sequence[Size],
    batch_size: int,
    checkpointing: bool,
    steps: int,
    samples: int,
    bytes_each: int,
) -> Forecast:
    operations = sum(predictor.operations(size) for size in sizes) / len(sizes)
    memory = predictor.memory(sizes, batch_size, checkpointing, bytes_each)
    return Forecast(batch_size, checkpointing, steps, samples, operations, memory, predictor.shares)


def _inner(text: Mapping[str, Any]) -> int:
    """The width within a layer's MLP, or of all experts that a token goes through."""
    chosen = text.get("num_experts_per_tok") or 1
    return int((text.get("moe_intermediate_size") or text["intermediate_size"]) * chosen)


def _side(size: int | list[int]) -> int:
    """Of a square, which configurations write as a number (CLIP) or as two (InternViT)."""
    return size if isinstance(size, int) else size[0]
