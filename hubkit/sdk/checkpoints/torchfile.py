"""Files that torch.save wrote (a zip archive since torch 1.6), read without torch.load.

The archive holds one pickle, `NAME/data.pkl`, and a record `NAME/data/KEY` per storage, not
compressed, so that tensors can be read where they lie. Source:
https://pytorch.org/docs/stable/notes/serialization.html.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError, WeightsError
from ..excerpt import shown
from ..files import open_file
from .archive import open_archive, read_stored
from .header import BITS, TensorInfo
from .unpickle import StoredTensor, unpickle

_MAX_PICKLE = 128 << 20
_REMEDY = "copy the file again, or save it with torch 1.6 or newer"


@dataclass(frozen=True)
class TorchFile:
    """`data` is the unpickled object, with StoredTensor in place of tensors; `records` say of each
    storage where it lies in the file, (position, bytes)."""

    data: Any
    path: Path
    records: Mapping[str, tuple[int, int]]

    def info(self, name: str, tensor: StoredTensor) -> TensorInfo:
        """Where the bytes of `tensor` lie in the file, under the name given.

        Raises:
            WeightsError: it lies outside its record, or not row by row.
        """
        where = f"{self.path.name}: tensor {shown(name)}"
        if tensor.storage.key not in self.records:
            raise WeightsError(
                f"{where} has no record {shown(tensor.storage.key)} in the archive", _REMEDY
            )
        start, length = self.records[tensor.storage.key]
        width, count = BITS[tensor.storage.dtype] // 8, math.prod(tensor.shape)
        if count and not _by_rows(tensor):
            raise WeightsError(
                f"{where} is a view that is not stored row by row", "save it with .contiguous()"
            )
        if (tensor.offset + count) * width > length or tensor.storage.size * width > length:
            raise WeightsError(f"{where} reaches beyond its record of {length} bytes", _REMEDY)
        at = start + tensor.offset * width
        return TensorInfo(
            name,
            tensor.storage.dtype,
            tensor.shape,
            self.path.name,
            at,
            at + count * width,
            tensor.trainable,
        )


def read_torch(path: Path) -> TorchFile:
    """Raises WeightsError when `path` is not such a file or holds an object that hubkit does not
    know."""
    try:
        with open_file(path) as file, open_archive(file) as archive:
            names = [info.filename for info in archive.infolist()]
            pickles = [
                name for name in names if name.endswith("/data.pkl") and name.count("/") == 1
            ]
            if len(pickles) != 1 or len(set(names)) != len(names):
                raise WeightsError(f"{path.name} is not a file of torch.save", _REMEDY)
            top = pickles[0].removesuffix("data.pkl")
            if (
                f"{top}byteorder" in names
                and read_stored(archive, f"{top}byteorder", 16) != b"little"
            ):
                raise WeightsError(
                    f"{path.name} was written on a big-endian machine", "save it on another machine"
                )
            records = dict(_records(archive, file, f"{top}data/", path))
            content = read_stored(archive, pickles[0], _MAX_PICKLE)
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist", "check the path") from None
    except OSError as error:
        raise WeightsError(
            f"{path.name} cannot be read ({error.strerror or error})",
            f"check its permissions; {_REMEDY}",
        ) from None
    except zipfile.BadZipFile as error:
        empty = "; it is empty" if path.stat().st_size == 0 else ""
        raise WeightsError(
            f"{path.name} is not a file of torch.save ({error}){empty}", _REMEDY
        ) from None
    return TorchFile(unpickle(io.BytesIO(content), path.name), path, records)


def _records(
    archive: zipfile.ZipFile, file: Any, top: str, path: Path
) -> Iterator[tuple[str, tuple[int, int]]]:
    """(key, (position in the file, bytes)) of each storage."""
    size = path.stat().st_size
    for info in archive.infolist():
        if not info.filename.startswith(top):
            continue
        file.seek(info.header_offset)
        head = file.read(30)
        if info.compress_type != zipfile.ZIP_STORED or head[:4] != b"PK\x03\x04":
            raise WeightsError(
                f"{path.name}: the record {shown(info.filename)} is compressed or damaged", _REMEDY
            )
        start = (
            info.header_offset
            + 30
            + int.from_bytes(head[26:28], "little")
            + int.from_bytes(head[28:30], "little")
        )
        if start + info.file_size > size:
            raise WeightsError(
                f"{path.name}: the record {shown(info.filename)} reaches beyond the file", _REMEDY
            )
        yield info.filename.removeprefix(top), (start, info.file_size)


def _by_rows(tensor: StoredTensor) -> bool:
    expected = 1
    for length, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True
