"""Data read, checked, repaired and split: the work that `hubkit prepare` and a release share."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import DataError, UsageError
from ..sdk import Record, Run, Terms
from ..weights.model import Model
from .findings import Report, Shared
from .output import deal, spool
from .parted import read_in_parts
from .pictures import Look
from .report import write_html
from .scan import rows
from .split import Group, held_out, shared, shared_between
from .terms import terms_of
from .validate import Validation

TRAIN, HOLDOUT = "train.jsonl", "holdout.jsonl"


@dataclass(frozen=True)
class PrepareSettings:
    """How data are prepared.

    `format` is the dataset plugin that reads them, `images` what image paths are relative to (by
    default the data's own folder). `holdout` is a count, a share below 1 or a file of the same
    format; 0 holds nothing out. With `group` "image", records that share a picture stay on one
    side. `skip` leaves out what has a problem instead of refusing. `look` says whether images are
    decoded or only looked for. `copy` puts the pictures into the folder that is written; those that
    are in no file of their own are written there in any case. `license` is for data that do not say
    it, `endpoint` the hub of `hf:` when it is not the usual one. With `base`, a model folder,
    its own tokens are refused in texts and lengths are measured in them."""

    format: str = "llava_json"
    options: Mapping[str, Any] = field(default_factory=dict)
    images: Path | None = None
    fix: bool = False
    skip: bool = False
    repeat: int = 1
    holdout: int | float | Path = 0
    group: Group = "record"
    seed: int = 0
    base: Path | None = None
    max_length: int = 0
    look: Look = "open"
    copy: bool = False
    license: str = ""
    endpoint: str = ""


class Preparation:
    """One dataset on its way: `read` it, then `write` what is trained on and what is held out.

    `line` makes one line of a record; without it nothing is written. Pictures that are in no file
    of their own go to `extracted`; without that they are refused.
    """

    def __init__(
        self,
        source: Path,
        folder: Path,
        settings: PrepareSettings,
        *,
        line: Callable[[Record], str] | None,
        base: Model | None = None,
        extracted: Path | None = None,
    ) -> None:
        if settings.repeat < 1:
            raise UsageError(f"repeat is {settings.repeat}", "repeat at least once")
        self.source, self.folder, self.settings, self._line = source, folder, settings, line
        self.terms: Terms = terms_of(settings.format, source, settings.options, settings.license)
        self.data = self._validation(source, base, extracted)
        # pictures within the data have names by their number: those of two datasets would be equal
        apart = settings.holdout if isinstance(settings.holdout, Path) else None
        self.apart = self._validation(apart, base, None) if apart else None
        self.held: set[int] = set()
        self.shared: Shared | None = None

    def _validation(self, source: Path, base: Model | None, extracted: Path | None) -> Validation:
        settings = self.settings
        return Validation(
            source,
            settings.images or (source if source.is_dir() else source.parent),
            look=settings.look,
            base=base,
            max_length=settings.max_length,
            fix=settings.fix,
            extracted=extracted,
        )

    def read(self, run: Run, page: Path | None = None) -> None:
        """Reads all records once. `page` is where a report goes, also when they are refused.

        Raises:
            DataError: records have problems and are not to be skipped; all are listed.
        """
        try:
            self._read(run)
        finally:
            if page is not None and (self.data.rows or self.data.tally.counts):
                write_html(page, self.report(), self.sample_pictures(), self.terms)

    def _read(self, run: Run) -> None:
        self._read_one(self.data, self.folder / ".all", run)
        holdout = self.settings.holdout
        if self.apart:
            self._read_one(self.apart, self.folder / HOLDOUT, run)
            self.shared = shared_between(self.data, self.apart)
        elif not isinstance(holdout, Path) and holdout:
            self.held = held_out(self.data, holdout, self.settings.seed, self.settings.group)
            self.shared = shared(self.data, self.held)

    def _read_one(self, data: Validation, place: Path, run: Run) -> None:
        settings = self.settings
        if not read_in_parts(data, settings.format, settings.options, run, place, self._line):
            self._read_in_order(data, place, run)
        if not settings.skip:
            data.tally.refuse(data.source.name)
        if not data.count:
            left = f"none of {data.rows:,} records is valid" if data.rows else "it is empty"
            raise DataError(
                f"{data.source} holds no records: {left}",
                "give a dataset with records; a report shows what is wrong with these",
            )

    def _read_in_order(self, data: Validation, place: Path, run: Run) -> None:
        settings = self.settings
        found = rows(settings.format, data.source, settings.options, fix=settings.fix)
        try:
            records = data.sound(found, run)
            if self._line:
                spool(records, place, self._line)
            else:
                deque(records, maxlen=0)
        except DataError as error:
            data.tally.add(error)
            raise

    def write(self) -> None:
        """Deals the records to train.jsonl and holdout.jsonl; this one only when there are any."""
        everything, held = self.folder / ".all", self.folder / ".held"
        deal(everything, self.held, self.folder / TRAIN, held, repeat=self.settings.repeat)
        everything.unlink()
        if self.held:
            held.replace(self.folder / HOLDOUT)
        else:
            held.unlink()

    @property
    def train(self) -> int:
        """Records to train on, repeats counted."""
        return self.settings.repeat * (self.data.count - len(self.held))

    @property
    def holdout(self) -> int:
        return self.apart.count if self.apart else len(self.held)

    @property
    def fixes(self) -> int:
        """Repairs that were made."""
        return sum(sum(one.fixes.values()) for one in self._both())

    def converted(self) -> dict[str, int]:
        """What is done to pictures before a model sees them, and to how many."""
        return dict(sum((Counter(one.converted()) for one in self._both()), Counter[str]()))

    def digests(self) -> dict[str, str]:
        """sha256 of each picture that was opened, by path."""
        return {name: digest for one in self._both() for name, digest in one.digests().items()}

    def _both(self) -> tuple[Validation, ...]:
        return (self.data, self.apart) if self.apart else (self.data,)

    def report(self) -> Report:
        found = self.data.report(self.settings.format)
        return replace(
            found,
            shared=self.shared,
            train=self.train,
            holdout=self.holdout,
            converted=self.converted(),
        )

    def sample_pictures(self) -> dict[str, Path]:
        """The files of the pictures that the report shows, by name."""
        return {name: self.data.pictures.path(name) for name in self.data.sample_pictures()}


def read_checked(
    format: str, source: Path, images: Path, options: Mapping[str, Any], run: Run
) -> tuple[list[Record], dict[str, str]]:
    """All records of `source`, and the sha256 of each image, every one of which opens as a picture.

    Raises:
        DataError: names file, record and field; problems are listed together.
    """
    found = Validation(source, images)
    records = list(found.sound(rows(format, source, options), run))
    found.tally.refuse(source.name)
    if not records:
        raise DataError(f"{source} holds no records: it is empty", "give a dataset with records")
    return records, found.digests()
