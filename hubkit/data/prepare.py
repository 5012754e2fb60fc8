"""`hubkit prepare`: a dataset read, checked, repaired, split, and written as LLaVA JSON Lines with
a report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..digests import sha256
from ..files.pointers import refuse_pointers
from ..reporting import SilentReporter
from ..sdk import Run, Terms
from ..sdk.codec import encode
from ..weights.model import Model, open_model
from .findings import Report
from .output import copy_pictures, fresh_folder, image_names, llava_line
from .preparation import HOLDOUT, TRAIN, Preparation, PrepareSettings
from .report import replace_text, write_html, write_json
from .terms import NAME, NOTE

REPORT = "report"


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
        UsageError: a file of the dataset or of the base is a Git LFS pointer.
    """
    run = reporter or SilentReporter()
    with _folder(Path(out) if out is not None else None) as folder:
        here, chosen = _downloaded(str(source), settings or PrepareSettings(), run)
        work = Preparation(
            here,
            folder,
            chosen,
            line=llava_line if out is not None else None,
            base=_base(chosen.base) if chosen.base else None,
            extracted=folder / "images",
        )
        work.read(run, Path(report) if report is not None else None)
        return _finished(work, Path(out) if out is not None else None)


def _base(folder: Path) -> Model:
    refuse_pointers(folder)
    return open_model(folder)


def _downloaded(source: str, settings: PrepareSettings, run: Run) -> tuple[Path, PrepareSettings]:
    """Source and settings, after the download of a dataset that is not here."""
    if not source.startswith("hf:"):
        return Path(source), settings
    from .hub import Reference, download

    found = download(Reference.parse(source), settings.endpoint, run)
    named = settings.format != PrepareSettings.format
    return found.source, replace(
        settings,
        format=settings.format if named else found.format,
        copy=True,
        license=settings.license or found.license,
    )


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where to work: a folder that becomes `out`, or one that goes away."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="hubkit-prepare-") as temporary:
            yield Path(temporary)
    else:
        with fresh_folder(out) as folder:
            yield folder


def _finished(work: Preparation, out: Path | None) -> PreparedData:
    report, images = work.report(), work.data.pictures.folder
    if out is None:
        return PreparedData(None, images, work.train, work.holdout, work.terms, report)
    work.write()
    if work.settings.copy:
        _copy_pictures(work)
    write_html(work.folder / f"{REPORT}.html", report, work.sample_pictures(), work.terms)
    write_json(work.folder / f"{REPORT}.json", report)
    _describe(work)
    files = tuple(sorted(path.name for path in work.folder.iterdir()))
    images = out / "images" if (work.folder / "images").is_dir() else images
    return PreparedData(out, images, work.train, work.holdout, work.terms, report, files)


def _copy_pictures(work: Preparation) -> None:
    for data, name in ((work.data, TRAIN), (work.apart or work.data, HOLDOUT)):
        if (work.folder / name).is_file():
            names = image_names(work.folder / name)
            copy_pictures(names, data.pictures.folder, work.folder / "images")


def _describe(work: Preparation) -> None:
    """dataset.json: where the data come from, by digest, and their terms."""
    source = {"name": work.source.name, "format": work.settings.format}
    if work.source.is_file():
        source["sha256"] = sha256(work.source)
    counts = {"train": work.train, "holdout": work.holdout}
    content = {"note": NOTE, "source": source, "terms": encode(work.terms), **counts}
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True)
    replace_text(work.folder / NAME, text + "\n")
