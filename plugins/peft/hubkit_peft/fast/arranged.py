"""Loss of a batch whose pictures the model's own processor arranges. The model's own modules put
what they see among the tokens, each in its way; the layers of its language model are the fast
ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .. import batch as batches
from ..processed import ProcessedExample
from . import blocks, decoder
from .features import Features
from .loss import Head, answer_loss


class Arranged:
    """`model` is a PeftModel; its parameters stay PEFT's, its language model's forward does not
    come back. A batch is padded with the id `pad`."""

    def __init__(
        self,
        model: Any,
        pad: int,
        compiling: bool,
        checkpointed: bool,
        features: Features | None = None,
    ) -> None:
        self._base, self._pad, self.features = model.get_base_model(), pad, features
        self._inner = self._base.model
        self._text = self._inner.language_model
        self._decoder = decoder.Decoder(self._text.layers, compiling, checkpointed)
        self._text.forward = self._take
        self._taken: list[tuple[Any, Any, Sequence[Any]]] = []
        self._tower = blocks.Tower(self._inner, compiling) if blocks.known(self._inner) else None
        self._head = Head(self._base.lm_head)

    @staticmethod
    def fits(model: Any, longest: int) -> bool:
        """Whether the model is made of parts known here."""
        base = model.get_base_model()
        text = getattr(getattr(base, "model", None), "language_model", None)
        head: Any = getattr(base, "lm_head", None)
        known = text is not None and head is not None and head.bias is None
        return known and decoder.fits(text, longest)

    def collate(
        self, examples: Sequence[ProcessedExample], samples: Sequence[int], seed: int, packing: str
    ) -> batches.Arranged:
        sections = getattr(self._inner, "get_rope_index", None)
        return batches.arrange(
            examples, samples, seed, self._pad, packing, self._base.dtype, sections
        )

    def loss(self, batch: batches.Arranged, learning: bool) -> Any:
        """The sum of the cross-entropy over the batch's answer tokens; with dropout when
        `learning`."""
        hidden, added = self._assembled(batch)
        positions = batch.positions[..., None, :]
        cos, sin = (table[0] for table in self._text.rotary_emb(hidden, positions))
        keys = batch.keys if learning else None
        hidden = self._decoder(hidden, cos, sin, keys, batch.spans, batch.rows, added)
        return answer_loss(self._text.norm(hidden), self._head, batch.targets)

    def see(self, batch: batches.Arranged) -> Any:
        """What the frozen vision transformer makes of the batch's pictures, (patches, numbers), if
        that is kept."""
        kept, tower = self.features, self._tower
        if kept is None or tower is None or not any(batch.pictures):
            return None
        pictures = batch.inputs["image_grid_thw"].split(batch.pictures)
        grids = dict(zip(batch.numbers, pictures, strict=True))

        def make(pixels: Any) -> Any:
            missing = [grid for number, grid in grids.items() if not kept.made(number)]
            return tower.features(pixels, torch.cat(missing))[:, None]

        with self._autocast(batch):
            return kept(batch.inputs["pixel_values"], batch.patches, batch.numbers, make).flatten(1)

    def _assembled(self, batch: batches.Arranged) -> tuple[Any, list[Any]]:
        """What goes into the language model's layers, (tokens, width), and what is added behind
        the first of them, likewise."""
        if self._tower:
            self._tower.given = self.see(batch)
        with self._autocast(batch):
            self._inner(**batch.inputs, position_ids=batch.positions)
        hidden, seen, more = self._taken.pop()
        added = [
            torch.zeros_like(hidden).masked_scatter(seen[..., None], part.to(hidden.dtype))
            for part in more
        ]
        hidden, *added = (part.flatten(0, 1)[batch.take] for part in (hidden, *added))
        return hidden, added

    def _autocast(self, batch: batches.Arranged) -> Any:
        half = self._base.dtype == torch.bfloat16
        return torch.autocast(batch.take.device.type, torch.bfloat16, enabled=half)

    def _take(
        self,
        inputs_embeds: Any,
        visual_pos_masks: Any = None,
        deepstack_visual_embeds: Any = None,
        **_: Any,
    ) -> Any:
        """In place of the language model's forward; its name for what is seen at several depths is
        Qwen3-VL's."""
        from transformers.modeling_outputs import BaseModelOutputWithPast

        self._taken.append((inputs_embeds, visual_pos_masks, deepstack_visual_embeds or ()))
        return BaseModelOutputWithPast(last_hidden_state=inputs_embeds)
