"""Downloads that are whole or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import EnvironmentFailure, UsageError


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
