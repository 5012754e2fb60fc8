"""Records of a model whose own processor arranges its pictures: what it gives is carried along."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError, Record, Vision, parts, pictures_of, segments, text_parts
from hubkit.sdk.processing import Inputs, Processor, batched, joined

from .examples import IGNORED, learnt, opened, unreadable
from .forecast import Size


@dataclass(frozen=True)
class ProcessedExample:
    """`labels` are the ids where something is to be learnt, -100 elsewhere; `number` is the
    record's among the examples."""

    inputs: Inputs
    labels: tuple[int, ...]
    number: int = -1

    @property
    def nbytes(self) -> int:
        return self.inputs.nbytes + 8 * len(self.labels)

    @property
    def answers(self) -> int:
        """How many tokens are learnt; the first of a row has none before it that would tell it."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class SplitExample(ProcessedExample):
    """For a model that reads with an encoder and writes with a decoder: `labels` are the answer
    alone."""

    @property
    def answers(self) -> int:
        return sum(label != IGNORED for label in self.labels)


class Own(threading.local):
    """A processor for each thread: its tokenizer is not to be asked by several at once."""

    def __init__(self, processor: Processor, thread: int) -> None:
        self.processor = processor if threading.get_ident() == thread else deepcopy(processor)


@dataclass(frozen=True)
class ProcessorEncoder:
    """What stays the same for all records. `stops` are the ids that end an answer; a patch of a
    picture has `patch` numbers."""

    own: Own
    vision: Vision
    images: Path
    stops: tuple[int, ...]
    patch: int

    @property
    def processor(self) -> Processor:
        return self.own.processor

    @property
    def tokenizer(self) -> Any:
        return self.processor.tokenizer

    def size(self, record: Record) -> Size:
        """Only the processor knows how many positions a picture takes: it makes all of them."""
        example = self.example(record)
        numbers = sum(
            tensor.numel()
            for tensor in example.inputs.pictures.values()
            if tensor.is_floating_point()
        )
        beside = len(example.labels) if self.processor.split else 0
        return Size(len(example.inputs.ids) + beside, example.answers, numbers // self.patch)

    def prompt(self, record: Record) -> tuple[str, tuple[int, ...], str]:
        """What stands before the record's first answer: its text and its ids with one position for
        each picture, and the digest of what the model is given for it."""
        text, _ = next(segments(self.processor.render, parts(record, self.vision)[:1], ()))
        own = pictures_of(record, 0, self.pixels(record))
        given = self.processor.inputs(text, own, begins=True)
        return text, self.processor.short_ids(text), given.digest()

    def pixels(self, record: Record) -> list[Any]:
        """Its pictures, as RGB images of PIL."""
        found = []
        for name in record.images:
            with opened(self.images / name, record) as picture:
                try:
                    found.append(picture.rgb())
                except (OSError, ValueError) as error:
                    raise unreadable(record, name, error) from None
        return found

    def example(self, record: Record) -> ProcessedExample:
        """Raises what `Encoder.text` raises, and DataError for what the processor or the model does
        not take."""
        if self.processor.split and len(record.turns) > 1:
            raise DataError(
                f"record {record.id}: {len(record.turns)} turns, and this model reads one text "
                "with an encoder and writes one answer",
                "make a record of each turn, with what was said before it in its question",
            )
        pictures = self.pixels(record)
        pieces: list[Inputs] = []
        labels: list[int] = []
        asked = parts(record, self.vision)
        said = [text_parts(turn.answer) for turn in record.turns]
        for text, is_answer in segments(self.processor.render, asked, said):
            turn = len(pieces) // 2
            own = () if is_answer else pictures_of(record, turn, pictures)
            where = f"record {record.id}, turn {turn + 1}"
            piece = self.processor.inputs(text, own, where, begins=not pieces)
            end = learnt(piece.ids, self.stops) if is_answer else 0
            labels += [*piece.ids[:end], *[IGNORED] * (len(piece.ids) - end)]
            pieces.append(piece)
        if self.processor.split:
            asked_ids = len(pieces[0].ids)
            return SplitExample(pieces[0], tuple(labels[asked_ids:]))
        return ProcessedExample(joined(pieces), tuple(labels))

    def unseen(self, record: Record) -> ProcessedExample:
        """The example without what is seen of its pictures."""
        example = self.example(record)
        bare = {
            name: tensor[:0] if tensor.is_floating_point() else tensor
            for name, tensor in example.inputs.pictures.items()
        }
        return replace(example, inputs=replace(example.inputs, pictures=bare))


def cast(inputs: Inputs, dtype: Any) -> Inputs:
    """With what is seen as numbers in `dtype`."""
    seen = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in inputs.pictures.items()
    }
    return replace(inputs, pictures=seen)


def padded(examples: Sequence[ProcessedExample], pad: int) -> dict[str, Any]:
    """One batch, padded on the right."""
    import torch

    batch = batched([example.inputs for example in examples], pad, "right")
    width = max(len(example.labels) for example in examples)
    rows = [[*one.labels, *[IGNORED] * (width - len(one.labels))] for one in examples]
    return {**batch, "labels": torch.tensor(rows)}
