"""The token, and where it came from: the first is never shown, the second always."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import EnvironmentFailure
from ..files import read_text
from ..text import one_line

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_OFFLINE = "HUBKIT_OFFLINE"


@dataclass(frozen=True)
class Token:
    """Raises EnvironmentFailure for characters that no request's header can hold."""

    value: str = field(repr=False)
    source: str

    def __post_init__(self) -> None:
        if odd := re.search(r"[^!-~]", self.value):
            raise EnvironmentFailure(
                f"the token from {self.source} has a character that no token has, at position "
                f"{odd.start() + 1} (the token is not shown)",
                "copy the token again, without blanks, line breaks or quotes around it",
            )

    def hide(self, text: str) -> str:
        """`text` of others as it may be shown: one line, without the token."""
        return one_line(text.replace(self.value, "***") if self.value else text, 1000)


def check_token_options(token_env: str, token_file: str) -> None:
    """Raises ValueError, without the values, when the two options cannot be meant so."""
    if token_env and not _VARIABLE.fullmatch(token_env):
        raise ValueError(
            "token_env is not the name of an environment variable (capitals, digits, _); its value "
            "is not shown"
        )
    if token_env and token_file:
        raise ValueError("give token_env or token_file, not both")


def named_token(token_env: str, token_file: str) -> Token | None:
    """The token in the variable `token_env` or the file `token_file`; None when the options name
    neither.

    Raises:
        EnvironmentFailure: the variable or file that is named does not hold a token.
    """
    if token_env:
        source = f"the environment variable {token_env}"
        if not (value := os.environ.get(token_env, "").strip()):
            raise EnvironmentFailure(
                f"{source}, named by `token_env`, is not set",
                f"export {token_env} with your token in it",
            )
        return Token(value, source)
    return _from_file(Path(token_file).expanduser()) if token_file else None


def _from_file(path: Path) -> Token:
    try:
        value = read_text(path, 1 << 16).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise EnvironmentFailure(
            f"the token file {path} (option token_file) cannot be read: {why}", "correct the path"
        ) from None
    if not value or len(value.split()) != 1:
        raise EnvironmentFailure(
            f"the token file {path} does not hold one token",
            "write the token, and nothing else, into it",
        )
    return Token(value, f"the file {path}")


def check_endpoint(endpoint: str, source: str) -> str:
    """`endpoint` without a slash at its end.

    Raises:
        EnvironmentFailure: it is no http(s) address; `source` says where it came from.
    """
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        bare = not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        good = bare = False
    if not good or not bare:
        raise EnvironmentFailure(
            f"the address of the hub from {source} is not of the form https://host (credentials, "
            "if there are any in it, are not shown)",
            "write it with its scheme, https:// or http://, and without credentials",
        )
    return endpoint.rstrip("/")


def refuse_offline(place: str, *variables: str) -> None:
    """Raises EnvironmentFailure when HUBKIT_OFFLINE, or one of the client's own `variables`,
    forbids asking any hub."""
    for name in (_OFFLINE, *variables):
        if os.environ.get(name, "").strip().upper() in ("1", "ON", "YES", "TRUE"):
            raise EnvironmentFailure(
                f"{name} is set: {place} is not asked", f"unset {name}, then run again"
            )
