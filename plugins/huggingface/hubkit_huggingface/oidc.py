"""Trusted publishing: a CI job's id token exchanged for a token of the hub (RFC 8693).

huggingface_hub 2.4 does this too, with no limit of time, and at the address of HF_ENDPOINT whatever
endpoint it was given. Here an id token goes to the hub of the release and nowhere else.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import httpx2

from hubkit.sdk import EnvironmentFailure, RemoteError
from hubkit.sdk.hubs import AGAIN, Token, read_json, read_whole, unusable_proxy

RESOURCE = "HF_OIDC_RESOURCE"
_ID_TOKEN = "HF_OIDC_ID_TOKEN"
_MINT_URL, _MINT_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_LIMIT = 1 << 20
_MARGIN = 300.0
"""Seconds before its end in which a token is not used any more."""
_LOCK = threading.Lock()
_EXCHANGED: dict[tuple[str, str, str], tuple[Token, float]] = {}


def exchanged(endpoint: str, timeout: float) -> Token | None:
    """The token for what HF_OIDC_RESOURCE names; None when that is not set.

    Raises:
        EnvironmentFailure: there is no id token, or the hub does not take it.
        RemoteError: no answer within `timeout` seconds, or none that has a token.
    """
    resource = os.environ.get(RESOURCE, "").strip()
    if not resource:
        return None
    given = os.environ.get(_ID_TOKEN, "").strip()
    key = (endpoint, resource, given)
    with _LOCK:
        token, until = _EXCHANGED.get(key, (None, 0.0))
        if token is None or until < time.monotonic():
            token, seconds = _exchange(endpoint, resource, given, timeout)
            _EXCHANGED[key] = token, time.monotonic() + seconds - _MARGIN
        return token


def _exchange(endpoint: str, resource: str, given: str, timeout: float) -> tuple[Token, float]:
    id_token = Token(given, f"the environment variable {_ID_TOKEN}") if given else None
    id_token = id_token or _minted(endpoint, timeout)
    asked = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "subject_token": id_token.value,
        "resource": resource,
    }
    place = f"{endpoint}/oauth/token"
    answer = _ask("POST", place, id_token, timeout, json=asked)
    value, seconds = answer.get("access_token"), answer.get("expires_in", 3600)
    if not isinstance(value, str) or not value or not isinstance(seconds, (int, float)):
        raise RemoteError(f"{place}: the answer has no access_token", AGAIN)
    return Token(value, f"the exchange for {RESOURCE} at {endpoint}"), float(seconds)


def _minted(endpoint: str, timeout: float) -> Token:
    """An id token for this hub from GitHub Actions."""
    url, key = (os.environ.get(name, "").strip() for name in (_MINT_URL, _MINT_TOKEN))
    if not url or not key:
        raise EnvironmentFailure(
            f"{RESOURCE} is set and there is no id token to exchange: neither {_ID_TOKEN} nor "
            f"GitHub's {_MINT_URL} is set",
            f"put your CI's id token into {_ID_TOKEN} (on GitHub: `permissions: id-token: write`), "
            f"or unset {RESOURCE}",
        )
    asking = Token(key, f"the environment variable {_MINT_TOKEN}")
    answer = _ask("GET", url, asking, timeout, bearer=True, params={"audience": endpoint})
    if not isinstance(answer.get("value"), str):
        raise RemoteError(f"{_MINT_URL}: the answer has no id token", AGAIN)
    return Token(answer["value"], f"the id token of {_MINT_URL}")


def _ask(
    method: str, url: str, token: Token, timeout: float, *, bearer: bool = False, **keywords: Any
) -> dict[str, Any]:
    """The JSON object that the address answers; redirects are not followed. `timeout` is for the
    whole answer."""
    place = url.partition("?")[0]
    headers = {"Authorization": f"Bearer {token.value}"} if bearer else {}
    end = time.monotonic() + timeout
    try:
        with (
            httpx2.Client(timeout=timeout) as client,
            client.stream(method, url, headers=headers, **keywords) as response,
        ):
            data = read_whole(_until(end, response), place, _LIMIT)
    except (ImportError, ValueError) as error:
        raise unusable_proxy(token.hide(str(error))) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise RemoteError(
            f"{place}: the id token could not be exchanged for {RESOURCE}: "
            f"{token.hide(str(error)) or type(error).__name__}",
            "check the address and the network, then run again",
        ) from None
    if response.status_code == 200:
        return read_json(data, dict, place)
    told = token.hide(data.decode("utf-8", "replace"))
    raise EnvironmentFailure(
        f"{place}: the hub answered {response.status_code} to {token.source} ({told}); it gives no "
        f"token for {RESOURCE}",
        f"check the trusted publisher of what {RESOURCE} names, and that the id token is for this "
        f"hub and not expired; or unset {RESOURCE}",
    )


def _until(end: float, response: httpx2.Response) -> Any:
    for chunk in response.iter_bytes():
        yield chunk
        if time.monotonic() > end:
            raise httpx2.ReadTimeout("the answer takes too long")
