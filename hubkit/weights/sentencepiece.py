"""Reading a sentencepiece model (`tokenizer.model`) without the library: the few fields of
sentencepiece_model.proto that say how text becomes pieces."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.files import read_bytes

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
BPE = 2
_REMEDY = "take tokenizer.model from the base model again"
_Value = int | bytes


@dataclass(frozen=True)
class Piece:
    """An entry of the vocabulary, whose id is its place."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePiece:
    """`pieces` by id. The defaults are the proto's own; `charsmap` is the compiled table of a
    Unicode normalisation."""

    pieces: tuple[Piece, ...]
    model_type: int = 1
    byte_fallback: bool = False
    whitespace_as_suffix: bool = False
    charsmap: bytes = b""
    dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


def read_sentencepiece(path: Path) -> SentencePiece:
    """Raises WeightsError when the file is no such model."""
    try:
        fields = list(_fields(read_bytes(path)))
        trainer, normalizer = (dict(_fields(b"".join(_parts(fields, number)))) for number in (2, 3))
        return SentencePiece(
            pieces=tuple(_piece(part) for part in _parts(fields, 1)),
            model_type=_whole(trainer.get(3, 1)),
            byte_fallback=bool(trainer.get(35, 0)),
            whitespace_as_suffix=bool(trainer.get(24, 0)),
            charsmap=_raw(normalizer.get(2, b"")),
            dummy_prefix=bool(normalizer.get(3, 1)),
            remove_extra_whitespaces=bool(normalizer.get(4, 1)),
            escape_whitespaces=bool(normalizer.get(5, 1)),
        )
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read ({error.strerror})", _REMEDY) from None
    except (ValueError, IndexError, struct.error) as error:
        raise WeightsError(f"{path.name} is not a sentencepiece model ({error})", _REMEDY) from None


def _parts(fields: list[tuple[int, _Value]], number: int) -> Iterator[bytes]:
    return (_raw(value) for found, value in fields if found == number)


def _piece(data: bytes) -> Piece:
    fields = dict(_fields(data))
    (score,) = struct.unpack("<f", _raw(fields.get(2, bytes(4))))
    return Piece(
        _raw(fields[1]).decode() if 1 in fields else "", score, _whole(fields.get(3, NORMAL))
    )


def _fields(data: bytes) -> Iterator[tuple[int, _Value]]:
    """(field number, value) of a protobuf message: whole numbers, or the bytes of texts, messages
    and fixed-size numbers."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            length, at = _varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + length > len(data):
            raise ValueError(f"it ends within a field at byte {at}")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError(f"a number without an end at byte {at}")


def _whole(value: _Value) -> int:
    if not isinstance(value, int):
        raise ValueError("a text where a number belongs")
    return value


def _raw(value: _Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where a text belongs")
    return value
