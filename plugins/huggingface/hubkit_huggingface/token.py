"""Where the token is found: as the options say, else where huggingface_hub keeps its own."""

from __future__ import annotations

import os

from hubkit.sdk.hubs import Token, named_token

from .options import Options

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token with permission to write"


def find(options: Options) -> Token:
    """An empty value when there is none; raises as `named_token`."""
    if (named := named_token(options.token_env, options.token_file)) is not None:
        return named
    from huggingface_hub import constants, get_token

    value = get_token() or ""
    if not value:
        return Token("", "nowhere: no HF_TOKEN, no login of the client")
    if os.environ.get("HF_TOKEN", "").strip() == value:
        return Token(value, "the environment variable HF_TOKEN")
    return Token(value, f"the client's own login ({constants.HF_TOKEN_PATH})")
