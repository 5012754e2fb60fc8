"""Loss of a batch, by the fast modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hubkit.sdk import Vision

from ..batch import Packed, pack
from ..examples import Example
from ..shares import Share, place_rest
from . import decoder, vision
from .features import Features
from .loss import Head, answer_loss


class Fast:
    """`model` is a PeftModel; its parameters stay PEFT's. Setting this up changes layout, not
    numbers, of the frozen ones."""

    def __init__(
        self,
        model: Any,
        seen: Vision,
        longest: int,
        compiling: bool,
        checkpointed: bool,
        features: Features | None,
        device: str,
        share: Share | None = None,
    ) -> None:
        self.features = features
        self._base = model.get_base_model()
        self._inner = self._base.model
        text = self._inner.language_model
        self._decoder = decoder.Decoder(text.layers, compiling, checkpointed, share)
        text.embed_tokens.to(device)
        self._tower = vision.Tower(self._inner, seen.mean, seen.std, compiling, features, share)
        place_rest(model, device)
        self._head = Head(self._base.lm_head)
        self._dtype = text.embed_tokens.weight.dtype
        places = torch.arange(
            longest + 8, device=text.embed_tokens.weight.device
        )  # a packed row ends in up to 7 more
        self._cos, self._sin = (
            table[0] for table in text.rotary_emb(text.embed_tokens.weight, places[None])
        )

    @staticmethod
    def fits(model: Any, longest: int) -> bool:
        """Whether the model is made of parts known here."""
        inner = model.get_base_model().model
        return vision.fits(inner) and decoder.fits(inner.language_model, longest)

    def collate(
        self, examples: Sequence[Example], samples: Sequence[int], seed: int, packing: str
    ) -> Packed:
        return pack(examples, samples, seed, self._base.config.image_token_id, packing)

    def loss(self, batch: Packed, learning: bool) -> Any:
        """The sum of the cross-entropy over the batch's answer tokens; with dropout when
        `learning`."""
        text = self._inner.language_model
        hidden = text.embed_tokens(batch.ids)
        if len(batch.places):
            hidden = hidden.index_put((batch.places,), self._pictures(batch).to(hidden.dtype))
        cos, sin = self._cos[batch.positions], self._sin[batch.positions]
        hidden = self._decoder(
            hidden, cos, sin, batch.keys if learning else None, batch.spans, batch.rows
        )
        return answer_loss(text.norm(hidden), self._head, batch.targets)

    def see(self, batch: Packed) -> Any:
        """What the ViT makes of the batch's pictures, for `mlp1`."""
        return self._tower(batch.pixels, batch.tiles, batch.numbers)

    def _pictures(self, batch: Packed) -> Any:
        features = self.see(batch)
        with torch.autocast(
            features.device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16
        ):
            return self._inner.multi_modal_projector(features).flatten(0, 1)
