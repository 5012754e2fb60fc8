"""From records to tensors: pictures as tiles, conversations as ids with labels on the answers
alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from hubkit.sdk import (
    DataError,
    Record,
    UsageError,
    Vision,
    grid,
    open_picture,
    prompts,
    segments,
    tiles,
)

from .forecast import Size

IGNORED = -100
_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Example:
    """`labels` are the ids where something is to be learnt, -100 elsewhere; `pixels` is uint8
    (tiles, 3, tile, tile), `number` the record's among the examples."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pixels: Any
    number: int = -1

    @property
    def nbytes(self) -> int:
        return int(self.pixels.nbytes) + 16 * len(self.ids)


@dataclass(frozen=True)
class Encoder:
    """What stays the same for all records. `stops` are the ids that end an answer."""

    tokenizer: Any
    vision: Vision
    images: Path
    stops: tuple[int, ...]
    lock: Any = field(default_factory=Lock)
    """The tokenizer's, which several threads may not ask at once."""

    def text(
        self, record: Record, counts: Sequence[int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """(ids, labels) with `counts` tiles for each picture.

        An answer's label ends with the template's stop token; what the template puts after it is
        not learnt.

        Raises:
            UsageError: the template ends an answer with none of `stops`: the model would never
                learn to stop.
        """
        ids: list[int] = []
        labels: list[int] = []
        answers = [turn.answer for turn in record.turns]
        render = partial(_render, self.tokenizer)
        for text, is_answer in segments(render, prompts(record, counts, self.vision), answers):
            with self.lock:
                piece = self.tokenizer(text, add_special_tokens=False).input_ids
            end = learnt(piece, self.stops) if is_answer else 0
            ids += piece
            labels += [*piece[:end], *[IGNORED] * (len(piece) - end)]
        return tuple(ids), tuple(labels)

    def size(self, record: Record) -> Size:
        tiles = self.tile_counts(record)
        ids, labels = self.text(record, tiles)
        return Size(len(ids), sum(label != IGNORED for label in labels[1:]), sum(tiles))

    def prompt(self, record: Record) -> tuple[str, tuple[int, ...], str]:
        """What stands before the record's first answer, its text and its ids, with one position for
        each picture; no digest."""
        short = replace(self.vision, tokens_per_tile=1)
        asked = prompts(record, [1] * len(record.images), short)[:1]
        text, _ = next(iter(segments(partial(_render, self.tokenizer), asked, ())))
        return text, tuple(self.tokenizer(text, add_special_tokens=False).input_ids), ""

    def tile_counts(self, record: Record) -> list[int]:
        """Tiles of each picture, from the files' headers alone."""
        counts = []
        for name in record.images:
            with opened(self.images / name, record) as picture:
                columns, rows = grid(picture.width, picture.height, self.vision)
            counts.append(columns * rows + (self.vision.thumbnail and columns * rows > 1))
        return counts

    def example(self, record: Record) -> Example:
        arrays = self.pixels(record)
        ids, labels = self.text(record, [len(array) for array in arrays])
        return Example(ids, labels, _joined(arrays, self.vision.tile))

    def unseen(self, record: Record) -> Example:
        """The example without its pixels."""
        ids, labels = self.text(record, self.tile_counts(record))
        return Example(ids, labels, _joined((), self.vision.tile))

    def pixels(self, record: Record) -> list[Any]:
        """Each picture's tiles, uint8 (tiles, 3, tile, tile)."""
        return [self._pixels(name, record) for name in record.images]

    def _pixels(self, name: str, record: Record) -> Any:
        import numpy

        with opened(self.images / name, record) as picture:
            try:
                parts = tiles(picture, self.vision)
            except (OSError, ValueError) as error:
                raise unreadable(record, name, error) from None
        return numpy.stack([numpy.asarray(part) for part in parts]).transpose(0, 3, 1, 2)


def learnt(piece: Sequence[int], stops: Sequence[int]) -> int:
    """How many of an answer's ids are learnt: those up to the last of `stops`.

    Raises:
        UsageError: there is none.
    """
    end = max((place + 1 for place, number in enumerate(piece) if number in stops), default=0)
    if not end:
        raise UsageError(
            "the chat template ends an answer with no token of generation_config.json's "
            "eos_token_id: the model would not learn to stop",
            "add the id of the template's end token to eos_token_id",
        )
    return end


def _render(tokenizer: Any, messages: list[dict[str, str]], speak: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=speak))


def opened(path: Path, record: Record) -> Any:
    try:
        return open_picture(path)
    except (OSError, ValueError) as error:
        raise unreadable(record, path.name, error) from None


def unreadable(record: Record, name: str, error: Exception) -> DataError:
    return DataError(
        f"record {record.id}: {name} is not a picture that can be read ({error})",
        "replace the file",
    )


def _joined(arrays: Sequence[Any], tile: int) -> Any:
    import numpy

    return (
        numpy.concatenate(arrays) if arrays else numpy.zeros((0, 3, tile, tile), dtype=numpy.uint8)
    )


class AnyEncoder(Protocol):
    """An Encoder, or one of `processed`: from records to examples."""

    @property
    def tokenizer(self) -> Any: ...

    @property
    def stops(self) -> tuple[int, ...]: ...

    def prompt(self, record: Record) -> tuple[str, tuple[int, ...], str]: ...

    def size(self, record: Record) -> Size: ...

    def pixels(self, record: Record) -> list[Any]: ...

    def example(self, record: Record) -> Any: ...

    def unseen(self, record: Record) -> Any: ...


class Examples:
    """Examples by the record's number, without pixels where `seen` says that they are no longer
    needed; those made once are kept while they take less than 256 MiB. Safe in several threads."""

    def __init__(
        self,
        encoder: AnyEncoder,
        records: Sequence[Record],
        seen: Callable[[int], bool] = lambda number: False,
    ) -> None:
        self._encoder, self._records, self._seen = encoder, records, seen
        self._kept: dict[int, Any] = {}
        self._room = _CACHE_BYTES
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Any:
        if number in self._kept:
            return self._kept[number]
        record, encoder = self._records[number], self._encoder
        made = encoder.unseen(record) if self._seen(number) else encoder.example(record)
        example = replace(made, number=number)
        with self._lock:
            if example.nbytes <= self._room and number not in self._kept:
                self._room -= example.nbytes
                self._kept[number] = example
        return example
