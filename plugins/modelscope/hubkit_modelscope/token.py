"""Where the token is found: as the options say, else where modelscope_hub keeps its own."""

from __future__ import annotations

import os

from hubkit.sdk import EnvironmentFailure
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
    try:
        value = (config.load_token() or "").strip()
    except Exception as error:  # it is a pickle of the client's own, which may end in anything
        raise EnvironmentFailure(
            f"the client's own login ({config.credentials_dir}) cannot be read: "
            f"{type(error).__name__}",
            f"remove that folder; {LOG_IN}",
        ) from None
    if value:
        return Token(value, f"the client's own login ({config.credentials_dir})")
    return Token("", "no token found (MODELSCOPE_API_TOKEN is not set; not logged in)")
