"""Downloads that are whole or not there, and no larger than the hub has promised."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import EnvironmentFailure, RemoteError, UsageError


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder beside `out`, not yet made, to download into; it becomes `out` when the block ends
    well and is removed otherwise.

    Raises:
        UsageError: `out` exists.
        EnvironmentFailure: the disk is full or the place not writable.
    """
    if out.exists():
        raise UsageError(f"{out} exists", "name a folder that does not exist yet")
    partial = out.with_name(f".{out.name}.hubkit-partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        if error.errno is None:  # requests' and huggingface_hub's http errors are OSErrors too
            raise
        raise EnvironmentFailure(
            f"{out}: {error.strerror}", "free some space or choose another folder, then run again"
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def promised(chunks: Iterable[bytes], size: int, place: str) -> Iterator[bytes]:
    """`chunks` as they come, of at most the `size` bytes that the hub's listing promises; `place`
    names what is fetched.

    Raises:
        RemoteError: there are more.
    """
    left = size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise longer_than(size, place)
        yield chunk


def longer_than(size: int, place: str) -> RemoteError:
    """For a file that goes on after the `size` bytes that its hub's listing promises."""
    return RemoteError(
        f"{place}: the hub lists {size:,} bytes and sends more; it was not read further",
        "run the same command again; if it stays so, do not trust this hub",
    )
