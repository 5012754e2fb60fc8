"""The files of a dataset folder as rows of plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import DataError, EnvironmentFailure, json_text
from hubkit.sdk.files import open_file
from hubkit.sdk.install import install
from hubkit.sdk.json_items import items

Table = tuple[Path, Iterator[Any], Mapping[str, Sequence[str]]]
"""A file, its rows (or a DataError in place of one), and the names of classes by column."""

_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
_BATCH = 32
_HIDDEN = (".git", ".cache", ".huggingface")


def tables(source: Path, split: str) -> Iterator[Table]:
    """The tables of `source`: a file, or a folder in which the first kind counts that is there:
    parquet, metadata of an image folder, JSON Lines, pictures in folders named after their classes.

    Raises:
        DataError: there is none, or of another split only.
    """
    files = [source] if source.is_file() else _files(source, split)
    for kind, read in ((_is_parquet, _parquet), (_is_metadata, _metadata), (_is_json, _json)):
        chosen = [file for file in files if kind(file)]
        if chosen:
            for file in chosen:
                yield read(file, source)
            return
    pictures = [
        file for file in files if file.suffix.lower() in _PICTURES and file.parent != source
    ]
    if not pictures:
        of_split = f" of the split {split!r}" if split else ""
        remedy = (
            "give a folder with parquet, JSON Lines, metadata.jsonl, or pictures in folders by "
            "class"
        )
        raise DataError(f"{source}: no data{of_split}", remedy)
    rows = (
        {"image": picture.relative_to(source).as_posix(), "label": picture.parent.name}
        for picture in pictures
    )
    yield source, rows, {}


def _files(source: Path, split: str) -> list[Path]:
    found = [
        file
        for file in sorted(source.rglob("*"))
        if file.is_file() and not _hidden(file.relative_to(source))
    ]
    return [file for file in found if not split or _of_split(file.relative_to(source), split)]


def _hidden(path: Path) -> bool:
    return any(part in _HIDDEN for part in path.parts)


def _of_split(path: Path, split: str) -> bool:
    """`train-00000-of-00002.parquet`, `train.jsonl` and everything below a folder `train`."""
    name = path.name.partition(".")[0]
    return split in path.parts[:-1] or name == split or name.startswith((f"{split}-", f"{split}_"))


def _is_parquet(file: Path) -> bool:
    return file.suffix == ".parquet"


def _is_metadata(file: Path) -> bool:
    return file.name in ("metadata.jsonl", "metadata.csv")


def _is_json(file: Path) -> bool:
    return file.suffix in (".jsonl", ".json") and file.name != "dataset_infos.json"


def _json(file: Path, source: Path) -> Table:
    return file, (item for _, item in items(file, keep_going=True)), {}


def _metadata(file: Path, source: Path) -> Table:
    """`file_name` is relative to the metadata's own folder."""
    below = file.parent.relative_to(source).as_posix() if source.is_dir() else "."

    def rows() -> Iterator[Any]:
        for item in _csv(file) if file.suffix == ".csv" else _json(file, source)[1]:
            name = item.get("file_name") if isinstance(item, Mapping) else None
            yield (
                {**item, "image": name if below == "." else f"{below}/{name}"}
                if isinstance(name, str)
                else item
            )

    return file, rows(), {}


def _csv(file: Path) -> Iterator[dict[str, str]]:
    try:
        with io.TextIOWrapper(open_file(file), encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
    except (OSError, csv.Error) as error:
        raise DataError(f"{file}: not a CSV file ({error})", "correct the file") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: not UTF-8 (byte {error.start})", "save the file as UTF-8", code="encoding"
        ) from None


def _parquet(file: Path, source: Path) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise EnvironmentFailure("reading parquet needs pyarrow", install("parquet")) from None
    try:
        table = parquet.ParquetFile(open_file(file))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{file}: not a parquet file ({error})", "download the file again"
        ) from None

    def rows() -> Iterator[Any]:
        try:
            for batch in table.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise DataError(f"{file}: damaged ({error})", "download the file again") from None

    return file, rows(), _classes(table.schema_arrow.metadata or {})


def _classes(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """Names of classes, from what the `datasets` library notes in the file."""
    try:
        features = json_text.parse(metadata[b"huggingface"])["info"]["features"]
        labels = {
            name: kind
            for name, kind in features.items()
            if isinstance(kind, Mapping) and kind.get("_type") == "ClassLabel"
        }
        return {name: [str(one) for one in kind["names"]] for name, kind in labels.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
