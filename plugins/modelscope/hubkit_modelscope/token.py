"""Where the token is found: as the options say, else where modelscope_hub keeps its own."""

from __future__ import annotations

import os

from hubkit.sdk.hubs import Token, named_token

from .options import Options

LOG_IN = "log in with `ms login`, or set MODELSCOPE_API_TOKEN to a token with permission to write"


def find(options: Options) -> Token:
    """An empty value when there is none; raises as `named_token`."""
    if (named := named_token(options.token_env, options.token_file)) is not None:
        return named
    if value := os.environ.get("MODELSCOPE_API_TOKEN", "").strip():
        return Token(value, "the environment variable MODELSCOPE_API_TOKEN")
    from modelscope_hub.config import HubConfig

    config = HubConfig()
    if value := (config.load_token() or "").strip():
        return Token(value, f"the client's own login ({config.credentials_dir})")
    return Token("", "nowhere: no MODELSCOPE_API_TOKEN, no login of the client")
