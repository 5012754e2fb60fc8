"""The http client that huggingface_hub works with while a hub is open: timeouts, patience, pace,
and a token that stays home.

huggingface_hub 2.4 sets no timeout, waits as long as a server asks, does not repeat the requests
that matter most (commit, tag, create), and hands its headers to whatever address a server names for
the verification of an upload.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from hubkit.sdk import Run
from hubkit.sdk.hubs import (
    Token,
    log_harmless,
    moved_write,
    read_whole,
    refuse_hopeless,
    unusable_proxy,
)
from hubkit.sdk.retry import TRANSIENT, Patience, retry_after
from hubkit.sdk.transfer import Body, Meter

from .bounds import Bounds

LOST = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError)
"""The answer did not come, whole; what was asked may have been done all the same."""
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_ONCE = re.compile(r"/api/(repos/(create|delete)|models/[^/]+/[^/]+/(commit|tag|branch)/.+)")
"""Requests that change something each time: before they are repeated, one asks whether they took.
"""
_CALLS_HOME = "/api/agent-harnesses"
"""huggingface_hub 2.4 asks huggingface.co for this list, whatever endpoint it works with, and does
without it when it cannot."""
_OPEN = threading.RLock()


@dataclass
class Terms:
    """How one hub may be spoken to. `no_xet` is the user's HF_HUB_DISABLE_XET, once it was looked
    at."""

    endpoint: httpx2.URL
    token: Token
    timeout: float
    patience: Patience
    run: Run
    meter: Meter | None = None
    no_xet: bool | None = None
    bounds: Bounds = field(default_factory=Bounds)


class PatientClient(httpx2.Client):
    """
    Raises:
        EnvironmentFailure: the proxy of the environment cannot be used.
    """

    def __init__(self, terms: Terms) -> None:
        hooks = {"response": [refuse_moved_write]}
        try:
            super().__init__(
                follow_redirects=True, timeout=httpx2.Timeout(terms.timeout), event_hooks=hooks
            )
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise unusable_proxy(str(error)) from None
        self._terms = terms

    def build_request(
        self, method: str, url: Any, *, data: Any = None, **keywords: Any
    ) -> httpx2.Request:
        """A file becomes a body that can be sent again, in chunks of 1 MiB instead of 64 KiB."""
        if hasattr(data, "read") and hasattr(data, "seek"):
            body = Body(data, self._terms.meter)
            keywords |= {
                "content": body,
                "headers": {**(keywords.get("headers") or {}), "Content-Length": str(len(body))},
            }
            return super().build_request(method, url, **keywords)
        return super().build_request(method, url, data=data, **keywords)

    def send(self, request: httpx2.Request, **keywords: Any) -> httpx2.Response:
        terms = self._terms
        if request.url.path == _CALLS_HOME:
            raise httpx2.ConnectError("not asked", request=request)
        if not _same_host(request.url, terms.endpoint):
            request.headers.pop("authorization", None)
        name, attempt = f"{request.method} {request.url.host}{request.url.path}", 0
        while True:
            attempt += 1
            terms.run.check_cancelled()
            try:
                response = self._answer(name, request, **keywords)
            except LOST as error:
                refuse_hopeless(name, error)
                if _once(request) and not isinstance(error, _NEVER_SENT):
                    raise
                terms.patience.wait(attempt, f"{name}: {type(error).__name__} ({error})")
                continue
            if response.status_code not in TRANSIENT or (
                _once(request) and response.status_code != 429
            ):
                return response
            response.close()
            terms.patience.wait(
                attempt, f"{name}: the hub answered {response.status_code}", _asked_wait(response)
            )

    def _answer(
        self, name: str, request: httpx2.Request, *, stream: bool = False, **keywords: Any
    ) -> httpx2.Response:
        response = super().send(request, stream=True, **keywords)
        if stream:
            self._terms.bounds.file(request, response, name)
            return response
        try:
            response._content = read_whole(response.iter_bytes(), name)
        finally:
            response.close()
        self._terms.bounds.page(request, response, name)
        return response


def refuse_moved_write(response: httpx2.Response) -> None:
    """
    Raises:
        RemoteError: a request that changes something is sent on to another host, or would become
            one that changes nothing.
    """
    request = response.request
    if not response.has_redirect_location or request.method in ("GET", "HEAD"):
        return
    onward = request.url.join(response.headers["location"])
    if response.status_code in (307, 308) and _same_host(onward, request.url):
        return
    raise moved_write(f"{request.method} {request.url.host}{request.url.path}", onward.host)


def _once(request: httpx2.Request) -> bool:
    return request.method in ("POST", "DELETE") and bool(_ONCE.search(request.url.path))


def _same_host(one: httpx2.URL, other: httpx2.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _asked_wait(response: httpx2.Response) -> float | None:
    """`Retry-After`, or the reset time of an exhausted `RateLimit` (IETF draft that huggingface.co
    follows)."""
    found = re.search(r"r=0\s*;\s*t=(\d+)", response.headers.get("ratelimit", ""))
    return float(found[1]) + 1 if found else retry_after(response.headers)


@contextmanager
def installed(terms: Terms, *, xet: bool) -> Iterator[None]:
    """huggingface_hub uses a PatientClient inside the block, shows no bars, and Xet or not as told.

    All of these are process-wide in huggingface_hub, hence one hub of this kind is open at a time;
    others wait here.
    """
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    with _OPEN, warnings.catch_warnings():
        # of the card, in the hub's words; it was asked for them before
        warnings.filterwarnings("ignore", category=UserWarning, module="huggingface_hub")
        previous, silent, before = (
            _http._GLOBAL_CLIENT_FACTORY,
            are_progress_bars_disabled(),
            constants.HF_HUB_DISABLE_XET,
        )
        if terms.no_xet is None:
            terms.no_xet = before
        set_client_factory(lambda: PatientClient(terms))
        log_harmless("huggingface_hub")
        if not silent:
            disable_progress_bars()
        constants.HF_HUB_DISABLE_XET = terms.no_xet or not xet
        try:
            yield
        finally:
            constants.HF_HUB_DISABLE_XET = before
            if not silent:
                enable_progress_bars()
            set_client_factory(previous)
