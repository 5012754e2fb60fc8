"""Where the token is found: as the options say, else where huggingface_hub keeps its own."""

from __future__ import annotations

import os

from hubkit.sdk import EnvironmentFailure, Run
from hubkit.sdk.hubs import Token, named_token
from hubkit.sdk.retry import Patience

from .options import Options

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token with permission to write"


_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""As huggingface_hub reads them; the second is its older name."""


def find(options: Options, endpoint: str, run: Run) -> Token:
    """In the order of huggingface_hub 2.4: the exchange for HF_OIDC_RESOURCE, the environment, the
    client's own login. An empty value when there is none.

    Raises:
        EnvironmentFailure: what is named does not hold a token.
        RemoteError: the exchange got no answer.
    """
    from .oidc import exchanged

    if (named := named_token(options.token_env, options.token_file)) is not None:
        return named
    if (token := exchanged(endpoint, options.timeout)) is not None:
        return token
    for name in _VARIABLES:
        if value := os.environ.get(name, "").strip():
            return Token(value, f"the environment variable {name}")
    return _own_login(options, endpoint, run)


def _own_login(options: Options, endpoint: str, run: Run) -> Token:
    """What `hf auth login` left; the client renews it when it is about to end, within our terms."""
    import httpx2
    from huggingface_hub import constants, get_token

    from .client import Terms, installed

    place = constants.HF_TOKEN_PATH
    none = Token("", "no token found (HF_TOKEN is not set; not logged in)")
    terms = Terms(httpx2.URL(endpoint), none, options.timeout, Patience(0, run), run)
    try:
        with installed(terms, xet=False):
            value = (get_token() or "").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise EnvironmentFailure(
            f"the client's own login ({place}) cannot be read: {why}", f"remove it; {LOG_IN}"
        ) from None
    return Token(value, f"the client's own login ({place})") if value else none
