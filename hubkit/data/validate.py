"""One pass over a dataset: sound records come out as they are found, and what is to be said of the
rest is kept."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from ..errors import DataError, EnvironmentFailure, UsageError
from ..sdk import Record, Row, Run
from ..weights.model import Model
from .findings import EXAMPLES, Report, Sample, Tally
from .lengths import Counted, TokenCounter, by_processor, summary, tile_count
from .pictures import Look, Picture, Pictures
from .special import SpecialTokens
from .taken import MEASURED, Taken
from .texts import texts_of

_BATCH, _OPENED = 64, 256
"""Records at a time: a batch of more text than the processor's own cache holds is read twice, and
several pictures are opened at once."""
_PROCESSED = 1_000
"""Records whose tokens are counted where the model's own processor has to make every picture:
hundredths of a second each."""
_SAMPLES = 24
_SEED = 0
"""Of the samples that are shown."""
_PARTS = 6
"""Turns, and pictures, of a sample that are shown."""
_SMALL = 28
"""Pixels: pictures with a shorter side than a vision transformer's patch, doubled, are counted as
small."""


class Validation:
    """`folder` is what image paths are relative to. With `base`, its own tokens are looked for in
    texts and lengths are measured; over `max_length` tokens (0: no limit) is too long. With `fix`,
    ids that repeat get a number. `extracted` is where images go that lie in no file of their own.
    """

    def __init__(
        self,
        source: Path,
        folder: Path,
        *,
        look: Look = "open",
        base: Model | None = None,
        max_length: int = 0,
        fix: bool = False,
        extracted: Path | None = None,
    ) -> None:
        self.source, self.fix, self.max_length = source, fix, max_length
        self.pictures = Pictures(folder, look, extracted)
        self.tally, self.fixes, self.taken = Tally(), Counter[str](), Taken()
        self.rows = self.respelt = 0
        self._base = base
        self._special = SpecialTokens(base) if base else None

    @property
    def _processed(self) -> bool:
        """Whether the base's own processor arranges pictures."""
        return self._base is not None and self._base.vision.fit == "processor"

    @property
    def count(self) -> int:
        """Sound records so far."""
        return len(self.taken)

    def sound(self, rows: Iterable[Row], run: Run) -> Iterator[Record]:
        """The records of `rows` that have no problem; call `report` when they are through."""
        rows, opens = iter(rows), self.pictures.look == "open"
        while batch := list(islice(rows, _OPENED if opens else _BATCH)):
            self._spell(batch)
            if opens or any(row.pictures for row in batch):
                self._open(batch)
            for row in batch:
                self.rows += 1
                problem = row.problem or (self._problem(row, row.record) if row.record else None)
                if problem is not None:
                    self.tally.add(problem)
                elif row.record is not None:
                    yield self._taken(row, row.record)
            run.check_cancelled()
            run.progress(self.rows, self.rows, "records")

    def _spell(self, batch: list[Row]) -> None:
        """Names of images as their folder spells them: what trains later looks for no other."""
        named = chain.from_iterable([row.record.images for row in batch if row.record])
        if all(map(str.isascii, named)):
            return
        for row in batch:
            images = row.record.images if row.record else ()
            found = tuple(map(self.pictures.spelled, images))
            if row.record and found != images:
                self.respelt += sum(one != other for one, other in zip(found, images, strict=True))
                row.record = replace(row.record, images=found)

    def _open(self, batch: list[Row]) -> None:
        for row in batch:
            if row.pictures and self.pictures.extracted is None:
                raise DataError(
                    f"{self.source}: the pictures lie within the dataset's own files",
                    "write them out with `hubkit prepare SOURCE OUT`, and name OUT's file and "
                    "images",
                )
            if row.pictures:
                self.pictures.keep(row.pictures)
        if self.pictures.look == "open":
            self.pictures.open(name for row in batch if row.record for name in row.record.images)

    def _problem(self, row: Row, record: Record) -> DataError | None:
        for image in record.images:
            if found := self.pictures.problem(image):
                message, remedy = found
                return DataError(
                    f"{self._place(row, record)}: image {image}: {message}", remedy, code="image"
                )
        if self._special and (found := self._special.problem(record)):
            message, remedy = found
            return DataError(f"{self._place(row, record)}, {message}", remedy, code="tokens")
        if not self.fix and not self.taken.ids.add(hash(record.id)):  # the last check of all
            remedy = "give each record an id of its own, or set the dataset option `ids: index`"
            return DataError(
                f"{self._place(row, record)}, id: an earlier record has the same id",
                remedy,
                code="id",
            )
        return None

    def _place(self, row: Row, record: Record) -> str:
        line = f"line {row.line}, " if row.line is not None else ""
        return f"{self.source}, record {row.index} ({line}id {record.id!r})"

    def _taken(self, row: Row, record: Record) -> Record:
        if self.fix and not self.taken.ids.add(hash(record.id)):
            record = self._renamed(record)
        if row.fixes:
            self.fixes.update(row.fixes)
        self.taken.add(record, self._key)
        return record

    def _renamed(self, record: Record) -> Record:
        number = 2
        while not self.taken.ids.add(hash(name := f"{record.id}-{number}")):
            number += 1
        self.fixes["gave a repeated id a number"] += 1
        return replace(record, id=name)

    def _key(self, image: str) -> int:
        """Equal for equal pictures where their content is known, else for equal paths."""
        found = self.pictures.known.get(image)
        return hash(found.sha256) if isinstance(found, Picture) else hash(image)

    def sample_pictures(self) -> list[str]:
        """Pictures of the records that the report shows."""
        return [name for sample in self._samples() for name in sample.images]

    def _samples(self) -> tuple[Sample, ...]:
        chosen = [*self.taken.sample.values()]
        count = min(_SAMPLES, len(chosen))
        return tuple(map(_sample, random.Random(_SEED).sample(chosen, count)))

    def digests(self) -> dict[str, str]:
        """sha256 of each picture that was opened, by path."""
        return {
            name: found.sha256
            for name, found in self.pictures.known.items()
            if isinstance(found, Picture)
        }

    def report(self, format: str) -> Report:
        """Everything found in the rows that `sound` went through."""
        known = {
            name: found for name, found in self.pictures.known.items() if isinstance(found, Picture)
        }
        first: dict[str, str] = {}
        same = [
            (first[p.sha256], name)
            for name, p in known.items()
            if first.setdefault(p.sha256, name) != name
        ]
        vision = self._base.vision if self._base and not self._processed else None
        counted, notes = self._lengths()
        tiles = (
            Counter(tile_count(p.width, p.height, vision) for p in known.values())
            if vision
            else Counter[int]()
        )
        return Report(
            name=self.source.name,
            format=format,
            rows=self.rows,
            records=self.count,
            pictures=len(known) or _distinct(self.taken.keys),
            looked=self.pictures.look,
            problems=self.tally.problems(),
            fixes=dict(sorted(self.fixes.items())),
            turns=_counted(self.taken.turns),
            images=_counted(self.taken.images),
            tiles=_counted(tiles),
            formats=dict(sorted(Counter(p.format for p in known.values()).items())),
            same=len(same),
            same_examples=tuple(f"{one} = {other}" for one, other in same[:EXAMPLES]),
            repeated=self.count - _distinct(self.taken.contents()),
            small=sum(min(p.width, p.height) < _SMALL for p in known.values()),
            lengths=summary(counted, self.max_length),
            samples=self._samples(),
            texts=texts_of([*self.taken.sample.values()]),
            seed=_SEED,
            notes=(*self._notes(), *notes),
            converted=self.converted(),
        )

    def converted(self) -> dict[str, int]:
        """How many pictures are shown to a model in another way than they are stored."""
        found = Counter(
            change
            for picture in self.pictures.known.values()
            if isinstance(picture, Picture)
            for change in picture.changes
        )
        if self.respelt:
            found["found under the same name in another Unicode form"] = self.respelt
        return dict(sorted(found.items()))

    def _lengths(self) -> tuple[list[Counted], tuple[str, ...]]:
        """What was counted, and why nothing was."""
        if self._base is None:
            return [], ()
        try:
            if self._processed:
                return by_processor(self._base, self._placed()), ()
            return self._counted(TokenCounter(self._base)), ()
        except (DataError, UsageError, EnvironmentFailure) as error:
            return [], (f"lengths were not measured: {error.message}; {error.remedy}",)

    def _counted(self, counter: TokenCounter) -> list[Counted]:
        counted = []
        for record in self.taken.sample.values():
            found = [self.pictures.known.get(image) for image in record.images]
            sizes = [(one.width, one.height) for one in found if isinstance(one, Picture)]
            if len(sizes) == len(found):
                counted.append(counter.count(record, [counter.tiles(*size) for size in sizes]))
        return counted

    def _placed(self) -> list[Record]:
        """The first chosen records whose pictures were opened, these named from `/` on."""
        return [
            replace(record, images=tuple(map(self._from_root, record.images)))
            for record in islice(self.taken.sample.values(), _PROCESSED)
            if all(isinstance(self.pictures.known.get(name), Picture) for name in record.images)
        ]

    def _from_root(self, name: str) -> str:
        return self.pictures.path(name).absolute().relative_to("/").as_posix()

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.pictures.look == "exist":
            notes.append(
                "images were looked for, not opened: sizes, tiles and equal content are not known"
            )
        measured = _PROCESSED if self._processed else MEASURED
        if self._base and self.count > measured:
            notes.append(f"tokens were counted of {measured:,} records, drawn with a fixed seed")
        return tuple(notes)


def _distinct(numbers: array[int]) -> int:
    import numpy

    return len(numpy.unique(numpy.frombuffer(numbers, numpy.int64))) if numbers else 0


def _counted(numbers: Counter[int]) -> dict[str, int]:
    return {str(number): numbers[number] for number in sorted(numbers)}


def _sample(record: Record) -> Sample:
    turns = tuple((turn.prompt[:400], turn.answer[:400]) for turn in record.turns[:_PARTS])
    more = max(0, len(record.turns) - _PARTS) + max(0, len(record.images) - _PARTS)
    return Sample(record.id, record.images[:_PARTS], turns, more)
