"""What a dataset is when nobody says: its format, where its pictures are, what it is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import HubkitError, UsageError
from ..registry.plugins import plugins
from ..sdk import Record, Row
from .preparation import HOLDOUT, TRAIN
from .scan import rows
from .terms import terms_of
from .texts import texts_of

USUAL = "llava_json"
_LOOKED = 200
"""Records that are looked at."""
_FOLDERS = 200
"""Folders near the data that are tried for its pictures."""
_GENERIC = {"train", "training", "data", "dataset", "annotations", "metadata", "labels", "all"}


@dataclass(frozen=True)
class Recognised:
    """`images` is None where no record has a picture. `answers` are those of the records that were
    looked at, `holdout_file` the part that `hubkit prepare` kept apart."""

    source: Path
    format: str
    images: Path | None
    title: str
    languages: tuple[str, ...]
    answers: tuple[str, ...]
    holdout_file: Path | None


def recognise(path: Path, images: Path | None = None) -> Recognised:
    """The dataset at `path`: a file, or a folder (also one that `hubkit prepare` wrote).

    Raises:
        UsageError: there is none, no format reads it, or its pictures are not found.
    """
    source = path / TRAIN if (path / TRAIN).is_file() else path
    format, found = _format(source)
    if any(row.pictures for row in found):
        raise UsageError(
            f"{source}: the pictures lie within the dataset's own files",
            f"write them out with `hubkit prepare --format {format} {source} OUT`, and give OUT",
        )
    records = [row.record for row in found if row.record]
    holdout = source.parent / HOLDOUT
    return Recognised(
        source=source,
        format=format,
        images=_images(source, records, images),
        title=terms_of(format, source, {}).benchmark or _title(source),
        languages=texts.languages if (texts := texts_of(records)) else (),
        answers=tuple(turn.answer for record in records for turn in record.turns),
        holdout_file=holdout if source.name == TRAIN and holdout.is_file() else None,
    )


def _format(source: Path) -> tuple[str, list[Row]]:
    """The format that reads most of the first records; the usual one where several do."""
    if not source.exists():
        raise UsageError(f"{source}: no such dataset", "give the path of a file or a folder")
    best, most, said = "", list[Row](), list[str]()
    for name in sorted(plugins().of("dataset"), key=lambda name: (name != USUAL, name)):
        try:
            read = list(islice(rows(name, source, {}), _LOOKED))
        except (HubkitError, OSError) as error:
            said.append(f"{name}: {getattr(error, 'message', error)}")
            continue
        sound = [row for row in read if row.record]
        said += [f"{name}: {row.problem.message}" for row in read if row.problem][:1]
        if len(sound) > len(most):
            best, most = name, sound
    if not most:
        raise UsageError(
            f"{source}: no dataset format reads it" + "".join(f"\n  {one}" for one in said),
            "correct the data, or convert them; `hubkit plugins` lists the formats",
        )
    return best, most


def _images(source: Path, records: Sequence[Record], given: Path | None) -> Path | None:
    names = {name for record in records for name in record.images}
    if not names:
        return None
    near = [given] if given else list(islice(_near(source), _FOLDERS))
    counts = {folder: sum((folder / name).is_file() for name in names) for folder in near}
    folder = max(counts, key=lambda one: counts[one])
    if counts[folder] == len(names):
        return folder
    where = str(given) if given else f"{folder}, the best of the folders near {source.name}"
    raise UsageError(
        f"{counts[folder]:,} of the {len(names):,} pictures that the first records name are in "
        f"{where}; there is no {sorted(n for n in names if not (folder / n).is_file())[0]}",
        "give the folder that the paths are relative to: --images FOLDER",
    )


def _near(source: Path) -> Iterator[Path]:
    """The data's own folder first, which is what a release file takes by default."""
    here = (source if source.is_dir() else source.parent).absolute()
    for top in (here, here.parent):
        yield top
        for folder in _folders(top):
            yield folder
            yield from _folders(folder)


def _folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(one for one in folder.iterdir() if one.is_dir())
    return []


def _title(source: Path) -> str:
    """The first name, from the file upwards, that says anything."""
    path = source.absolute()
    names = [path.stem, *(folder.name for folder in path.parents)]
    return next((name for name in names if name and name.lower() not in _GENERIC), path.stem)
