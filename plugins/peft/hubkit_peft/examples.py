"""From records to tensors: pictures as tiles, conversations as ids with labels on the answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError, Record, UsageError, Vision, grid, prompts, segments, tiles

IGNORED = -100
_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Example:
    """`labels` are the ids where something is to be learnt, -100 elsewhere; `pixels` is float32 (tiles, 3, tile, tile)."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pixels: Any

    @property
    def answer_tokens(self) -> int:
        """Tokens that count in the loss: labels are shifted by one, so a first one never counts."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class Encoder:
    """What stays the same for all records. `stops` are the ids that end an answer."""

    tokenizer: Any
    vision: Vision
    images: Path
    stops: tuple[int, ...]

    def text(self, record: Record, counts: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(ids, labels) with `counts` tiles for each picture.

        An answer's label ends with the template's stop token; what the template puts after it is not learnt.

        Raises:
            UsageError: the template ends an answer with none of `stops`: the model would never learn to stop.
        """
        ids: list[int] = []
        labels: list[int] = []
        answers = [turn.answer for turn in record.turns]
        render = partial(_render, self.tokenizer)
        for text, is_answer in segments(render, prompts(record, counts, self.vision), answers):
            piece = self.tokenizer(text, add_special_tokens=False).input_ids
            learnt = self._learnt(piece) if is_answer else 0
            ids += piece
            labels += [*piece[:learnt], *[IGNORED] * (len(piece) - learnt)]
        return tuple(ids), tuple(labels)

    def _learnt(self, piece: Sequence[int]) -> int:
        end = max((place + 1 for place, number in enumerate(piece) if number in self.stops), default=0)
        if not end:
            raise UsageError(
                "the chat template ends an answer with no token of generation_config.json's eos_token_id: the model would not "
                "learn to stop",
                "add the id of the template's end token to eos_token_id",
            )
        return end

    def tile_counts(self, record: Record) -> list[int]:
        """Tiles of each picture, from the files' headers alone."""
        counts = []
        for name in record.images:
            with _opened(self.images / name, record) as picture:
                columns, rows = grid(picture.width, picture.height, self.vision)
            counts.append(columns * rows + (self.vision.thumbnail and columns * rows > 1))
        return counts

    def example(self, record: Record) -> Example:
        arrays = [self._pixels(name, record) for name in record.images]
        ids, labels = self.text(record, [len(array) for array in arrays])
        return Example(ids, labels, _stack(arrays, self.vision.tile))

    def _pixels(self, name: str, record: Record) -> Any:
        import numpy

        with _opened(self.images / name, record) as picture:
            try:
                parts = tiles(picture, self.vision)
            except (OSError, ValueError) as error:
                raise _unreadable(record, name, error) from None
        values = numpy.stack([numpy.asarray(part, dtype=numpy.float32) for part in parts]) / 255
        normal = (values - numpy.float32(self.vision.mean)) / numpy.float32(self.vision.std)
        return normal.transpose(0, 3, 1, 2)


def _render(tokenizer: Any, messages: list[dict[str, str]], speak: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=speak))


def _opened(path: Path, record: Record) -> Any:
    from PIL import Image

    try:
        return Image.open(path)
    except (OSError, ValueError) as error:
        raise _unreadable(record, path.name, error) from None


def _unreadable(record: Record, name: str, error: Exception) -> DataError:
    return DataError(f"record {record.id}: {name} is not a picture that can be read ({error})", "replace the file")


def _stack(arrays: Sequence[Any], tile: int) -> Any:
    import numpy

    return numpy.concatenate(arrays) if arrays else numpy.zeros((0, 3, tile, tile), dtype=numpy.float32)


class Examples:
    """Examples by the record's number; those made once are kept while they take less than 256 MiB."""

    def __init__(self, encoder: Encoder, records: Sequence[Record]) -> None:
        self._encoder, self._records = encoder, records
        self._kept: dict[int, Example] = {}
        self._room = _CACHE_BYTES

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Example:
        if number in self._kept:
            return self._kept[number]
        example = self._encoder.example(self._records[number])
        size = example.pixels.nbytes + 16 * len(example.ids)
        if size <= self._room:
            self._room -= size
            self._kept[number] = example
        return example


def collate(examples: Sequence[Example], pad: int, device: str) -> dict[str, Any]:
    """One batch, padded on the right."""
    import numpy
    import torch

    width = max(len(example.ids) for example in examples)

    def padded(rows: Sequence[tuple[int, ...]], filler: int) -> Any:
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)

    batch = {
        "input_ids": padded([example.ids for example in examples], pad),
        "labels": padded([example.labels for example in examples], IGNORED),
        "attention_mask": padded([(1,) * len(example.ids) for example in examples], 0),
    }
    pixels = [example.pixels for example in examples if len(example.pixels)]
    if pixels:
        batch["pixel_values"] = torch.from_numpy(numpy.concatenate(pixels)).to(device)
    return batch
