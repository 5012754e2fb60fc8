"""What `hubkit hub serve` does."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..sdk.errors import UsageError
from ..sdk.files import read_text
from .server import Running, serve

VARIABLE = "HUBKIT_HUB_TOKEN"


def token_from(file: Path | None) -> str | None:
    """The token in `file`, else in the environment variable HUBKIT_HUB_TOKEN, else None.

    Raises:
        UsageError: the file cannot be read, or holds something other than one token of 8 characters
            or more.
    """
    if file is None:
        found, where = os.environ.get(VARIABLE, ""), VARIABLE
        if not found:
            return None
    else:
        where = str(file)
        try:
            found = read_text(file, 1 << 16).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{file} cannot be read: {error}",
                "name a file that holds the token and nothing else",
            ) from None
    if len(found) < 8 or not found.isascii() or any(c.isspace() or c in ';,"\\' for c in found):
        raise UsageError(
            f"{where} does not hold a token",
            "a token is 8 or more letters, digits, '-' or '_', without spaces",
        )
    return found


@contextmanager
def serve_until_interrupted(
    data: Path, *, port: int, host: str, token: str | None
) -> Iterator[Running]:
    """`serve`, and after the block a wait for Ctrl-C, which ends it well.

    Raises:
        EnvironmentFailure: as `serve`.
    """
    with serve(data, port=port, host=host, token=token) as hub:
        yield hub
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return
