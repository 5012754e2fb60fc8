"""`hubkit prepare`: a dataset read, checked, repaired, split, and written as LLaVA JSON Lines with
a report."""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..digests import sha256
from ..errors import DataError, UsageError
from ..models import open_model
from ..reporting import SilentReporter
from ..sdk import Run, Terms
from ..sdk.codec import encode
from .findings import Report, Shared
from .output import copy_pictures, deal, fresh_folder, image_names, llava_line, spool
from .pictures import Look
from .report import replace_text, write_html, write_json
from .scan import rows
from .split import held_out, shared, shared_between
from .terms import NAME, NOTE, terms_of
from .validate import Validation

TRAIN, HOLDOUT, REPORT = "train.jsonl", "holdout.jsonl", "report"


@dataclass(frozen=True)
class PrepareSettings:
    """How data are prepared. `holdout` is a count, a share below 1 or a file of the same format; 0
    holds nothing out. `skip` leaves out what has a problem instead of refusing. `look` says whether
    images are decoded or only looked for. `copy` puts the pictures into the folder that is written;
    those that are in no file of their own are written there in any case. `license` is for data that
    do not say it, `endpoint` the hub of `hf:` when it is not the usual one."""

    adapter: str = "llava_json"
    options: Mapping[str, Any] = field(default_factory=dict)
    images: Path | None = None
    fix: bool = False
    skip: bool = False
    repeat: int = 1
    holdout: int | float | Path = 0
    by_picture: bool = False
    seed: int = 0
    base: Path | None = None
    max_length: int = 0
    look: Look = "open"
    copy: bool = False
    license: str = ""
    endpoint: str = ""


@dataclass(frozen=True)
class PreparedData:
    """`folder` is None when nothing was written; `images` is what the image paths are relative
    to."""

    folder: Path | None
    images: Path
    train: int
    holdout: int
    terms: Terms
    report: Report
    files: tuple[str, ...] = ()


def prepare(
    source: str | Path,
    out: str | Path | None = None,
    settings: PrepareSettings | None = None,
    *,
    report: str | Path | None = None,
    reporter: Run | None = None,
) -> PreparedData:
    """Reads `source` and writes train.jsonl, holdout.jsonl, report.html, report.json and
    dataset.json to the new folder `out`; with `out` None it only validates. `report` is a further
    place for the page, written also when the data are refused.

    `source` is a file or a folder, or `hf:organisation/name`, a dataset of the Hugging Face Hub,
    which is downloaded first.

    Raises:
        DataError: records have problems and are not to be skipped; nothing is written but `report`.
    """
    run, chosen = reporter or SilentReporter(), settings or PrepareSettings()
    if chosen.repeat < 1:
        raise UsageError(f"repeat is {chosen.repeat}", "repeat at least once")
    with _folder(Path(out) if out is not None else None) as folder:
        work = _Work(*_resolved(str(source), folder, chosen, run), write=out is not None)
        try:
            work.read(run)
        finally:
            if report is not None and (work.data.rows or work.data.tally.counts):
                write_html(Path(report), work.report(), work.sample_files(), work.terms)
        return work.finish(Path(out) if out is not None else None)


def _resolved(
    source: str, folder: Path, settings: PrepareSettings, run: Run
) -> tuple[Path, Path, PrepareSettings]:
    """Source, working folder and settings, after the download of a dataset that is not here."""
    if not source.startswith("hf:"):
        return Path(source), folder, settings
    from .hub import Reference, download

    found = download(Reference.parse(source), settings.endpoint, run)
    adapter = settings.adapter if settings.adapter != PrepareSettings.adapter else found.adapter
    return (
        found.source,
        folder,
        replace(settings, adapter=adapter, copy=True, license=settings.license or found.license),
    )


@contextmanager
def _folder(out: Path | None) -> Any:
    """Where to work: a folder that becomes `out`, or one that goes away."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="hubkit-prepare-") as temporary:
            yield Path(temporary)
    else:
        with fresh_folder(out) as folder:
            yield folder


class _Work:
    def __init__(
        self, source: Path, folder: Path, settings: PrepareSettings, *, write: bool
    ) -> None:
        self.source, self.folder, self.settings, self.write = source, folder, settings, write
        self.terms = terms_of(settings.adapter, source, settings.options, settings.license)
        self.data = self._validation(source, folder / "images")
        # pictures within the data have names by their number: those of two datasets would be the
        # same
        self.apart = (
            self._validation(settings.holdout, None) if isinstance(settings.holdout, Path) else None
        )
        self.held: set[int] = set()
        self.shared: Shared | None = None

    def _validation(self, source: Path, extracted: Path | None) -> Validation:
        s = self.settings
        return Validation(
            source,
            s.images or (source if source.is_dir() else source.parent),
            look=s.look,
            base=open_model(s.base) if s.base else None,
            max_length=s.max_length,
            fix=s.fix,
            extracted=extracted,
        )

    def read(self, run: Run) -> None:
        self._one(self.data, self.folder / ".all", run)
        if self.apart:
            self._one(self.apart, self.folder / HOLDOUT, run)
            self.shared = shared_between(self.data, self.apart)
        elif not isinstance(self.settings.holdout, Path) and self.settings.holdout:
            s = self.settings
            self.held = held_out(self.data, self.settings.holdout, s.seed, by_picture=s.by_picture)
            self.shared = shared(self.data, self.held)

    def _one(self, data: Validation, place: Path, run: Run) -> None:
        found = rows(
            self.settings.adapter, data.source, self.settings.options, fix=self.settings.fix
        )
        try:
            records = data.sound(found, run)
            if self.write:
                spool(records, place, llava_line)
            else:
                deque(records, maxlen=0)
        except DataError as error:
            data.tally.add(error)
            raise
        if not self.settings.skip:
            data.tally.refuse(data.source.name)
        if not data.count:
            left = (
                f"none of {data.rows:,} records is sound" if data.rows else "the dataset is empty"
            )
            raise DataError(
                f"{data.source}: {left}",
                "give a dataset with records; --report shows what is wrong with these",
            )

    @property
    def holdout(self) -> int:
        return self.apart.count if self.apart else len(self.held)

    @property
    def train(self) -> int:
        return self.settings.repeat * (self.data.count - len(self.held))

    def report(self) -> Report:
        report = self.data.report(self.settings.adapter)
        return replace(report, shared=self.shared, train=self.train, holdout=self.holdout)

    def sample_files(self) -> dict[str, Path]:
        return {name: self.data.pictures.path(name) for name in self.data.sample_pictures()}

    def finish(self, out: Path | None) -> PreparedData:
        report, images = self.report(), self.data.pictures.folder
        if out is None:
            return PreparedData(None, images, self.train, self.holdout, self.terms, report)
        kept = self.folder / HOLDOUT
        deal(
            self.folder / ".all",
            self.held,
            self.folder / TRAIN,
            self.folder / ".held",
            repeat=self.settings.repeat,
        )
        (self.folder / ".all").unlink()
        if self.held:
            (self.folder / ".held").replace(kept)
        else:
            (self.folder / ".held").unlink()
        self._pictures()
        write_html(self.folder / f"{REPORT}.html", report, self.sample_files(), self.terms)
        write_json(self.folder / f"{REPORT}.json", report)
        self._describe()
        files = tuple(sorted(path.name for path in self.folder.iterdir()))
        own = (self.folder / "images").is_dir()
        return PreparedData(
            out,
            out / "images" if own else images,
            self.train,
            self.holdout,
            self.terms,
            report,
            files,
        )

    def _pictures(self) -> None:
        if not self.settings.copy:
            return
        for data, name in ((self.data, TRAIN), (self.apart or self.data, HOLDOUT)):
            if (self.folder / name).is_file():
                copy_pictures(
                    image_names(self.folder / name), data.pictures.folder, self.folder / "images"
                )

    def _describe(self) -> None:
        """dataset.json: where the data come from, by digest, and their terms."""
        source = {"name": self.source.name, "adapter": self.settings.adapter}
        if self.source.is_file():
            source["sha256"] = sha256(self.source)
        content = {
            "note": NOTE,
            "source": source,
            "terms": encode(self.terms),
            "train": self.train,
            "holdout": self.holdout,
        }
        replace_text(
            self.folder / NAME,
            json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n",
        )
