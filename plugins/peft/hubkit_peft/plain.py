"""Loss of a batch by transformers' and PEFT's own modules: for models that `fast` does not know,
and to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hubkit.sdk import Vision

from .examples import IGNORED, Example


class Plain:
    features = None

    def __init__(
        self,
        model: Any,
        padded: Callable[[Sequence[Any]], dict[str, Any]],
        split: bool = False,
    ) -> None:
        """With `split`, labels are those of a decoder of its own, each predicted in its place."""
        self._model, self._padded, self._split = model, padded, split

    def collate(
        self, examples: Sequence[Any], samples: Sequence[int], seed: int, packing: str
    ) -> Padded:
        """Never packed: transformers' modules take the positions of each row, and of pictures in
        it, from its beginning."""
        return Padded(self._padded(examples))

    def loss(self, batch: Padded, learning: bool) -> Any:
        """The sum of the cross-entropy over the batch's answer tokens."""
        import torch

        self._model.train(learning)
        tensors = batch.tensors
        half = self._model.dtype == torch.bfloat16
        with torch.autocast(tensors["input_ids"].device.type, torch.bfloat16, enabled=half):
            if self._split:  # T5's class (transformers 5.23) gives the mean, whatever it is told
                return _summed(self._model(**tensors).logits, tensors["labels"])
            return self._model(**tensors, num_items_in_batch=1).loss


def _summed(logits: Any, labels: Any) -> Any:
    from torch.nn.functional import cross_entropy

    flat = logits.float().flatten(0, 1)
    return cross_entropy(flat, labels.flatten(), ignore_index=IGNORED, reduction="sum")


class Padded:
    """A dictionary of tensors that travels as one."""

    def __init__(self, tensors: dict[str, Any]) -> None:
        self.tensors = tensors

    def to(self, device: str) -> Padded:
        return Padded(
            {name: value.to(device, non_blocking=True) for name, value in self.tensors.items()}
        )

    def pinned(self) -> Padded:
        return Padded({name: value.pin_memory() for name, value in self.tensors.items()})


def padded(examples: Sequence[Example], pad: int, seen: Vision) -> dict[str, Any]:
    """One batch, padded on the right; `pixel_values` is float32 (tiles, 3, tile, tile),
    normalised."""
    import numpy
    import torch

    width = max(len(example.ids) for example in examples)

    def rows(values: Sequence[tuple[int, ...]], filler: int) -> Any:
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in values])

    batch = {
        "input_ids": rows([example.ids for example in examples], pad),
        "labels": rows([example.labels for example in examples], IGNORED),
        "attention_mask": rows([(1,) * len(example.ids) for example in examples], 0),
    }
    pixels = [example.pixels for example in examples if len(example.pixels)]
    if pixels:
        mean, std = (torch.tensor(values)[:, None, None] for values in (seen.mean, seen.std))
        batch["pixel_values"] = (
            torch.from_numpy(numpy.concatenate(pixels)).float() / 255 - mean
        ) / std
    return batch
