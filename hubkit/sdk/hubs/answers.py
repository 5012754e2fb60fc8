"""Answers of hubs within bounds: so many bytes, and JSON of the right type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from .. import json_text
from ..errors import RemoteError
from ..json_text import MAX_ITEMS
from .explain import AGAIN

T = TypeVar("T")
_NO_HUB = "check the address: this does not look like a hub"
ANSWER_LIMIT = 64 << 20
"""Bytes of one answer that is read whole, after decompression: a page of 1,000 files has under
1 MB, a file outside Git LFS up to 10 MiB at the hubs themselves."""


def read_whole(chunks: Iterable[bytes], place: str, limit: int = ANSWER_LIMIT) -> bytes:
    """All of `chunks`, decompressed.

    Raises:
        RemoteError: there are more than `limit` bytes, or it is JSON of more values than any hub
            answers: in memory they take many times its bytes.
    """
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > limit:
            raise RemoteError(
                f"{place}: the answer is longer than {limit:,} bytes, and was not read further",
                _NO_HUB,
            )
    if data[:64].lstrip().startswith((b"[", b"{")) and sum(map(data.count, b",[{")) > MAX_ITEMS:
        raise RemoteError(f"{place}: the answer has more than {MAX_ITEMS:,} values", _NO_HUB)
    return bytes(data)


def read_json(data: bytes, kind: type[T], place: str) -> T:
    """
    Raises:
        RemoteError: `data` is not JSON, or not of this kind.
    """
    try:
        value: Any = json_text.parse(data)
    except ValueError:
        raise RemoteError(f"{place}: the answer is not JSON", AGAIN) from None
    if not isinstance(value, kind):
        raise RemoteError(f"{place}: the answer is not a JSON {kind.__name__}", AGAIN)
    return value
