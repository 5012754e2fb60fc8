"""The token, and where it came from: the first is never shown, the second always."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hubkit.sdk import EnvironmentFailure

from .options import Options

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token with permission to write"


@dataclass(frozen=True)
class Token:
    value: str = field(repr=False)
    source: str

    def hide(self, text: str) -> str:
        return text.replace(self.value, "***") if self.value else text


def find(options: Options) -> Token:
    """The token that the options name, or the client's own; an empty value when there is none.

    Raises:
        EnvironmentFailure: a variable or file that the options name is not there.
    """
    if options.token_env:
        source = f"the environment variable {options.token_env}"
        if not (value := os.environ.get(options.token_env, "").strip()):
            raise EnvironmentFailure(
                f"{source} (option token_env) is not set", f"export {options.token_env} with your token in it"
            )
        return Token(value, source)
    if options.token_file:
        return _from_file(Path(options.token_file).expanduser())
    from huggingface_hub import constants, get_token

    value = get_token() or ""
    if not value:
        return Token("", "nowhere: no HF_TOKEN, no login of the client")
    if os.environ.get("HF_TOKEN", "").strip() == value:
        return Token(value, "the environment variable HF_TOKEN")
    return Token(value, f"the client's own login ({constants.HF_TOKEN_PATH})")


def _from_file(path: Path) -> Token:
    try:
        value = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise EnvironmentFailure(f"the token file {path} (option token_file) cannot be read: {why}", "correct the path") from None
    if not value or len(value.split()) != 1:
        raise EnvironmentFailure(f"the token file {path} does not hold one token", "write the token, and nothing else, into it")
    return Token(value, f"the file {path}")
