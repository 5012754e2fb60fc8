"""The official client with our terms: it stays within a patience, and its token stays with the hub.

modelscope_hub 0.5 sends its token along with every upload, whatever host the upload's address
names, waits as long as a server asks, and hashes each file that it uploads; hence its HubApi is
given the two clients it works with, made here, and files are uploaded through their
`validate_blobs`, `upload_blob` and `create_commit`.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from modelscope_hub import HubApi
from modelscope_hub._legacy_api import LegacyClient
from modelscope_hub._openapi import OpenAPIClient
from modelscope_hub.config import HubConfig
from modelscope_hub.utils import build_user_agent
from requests.adapters import HTTPAdapter

from hubkit.sdk import RemoteError, Run
from hubkit.sdk.hubs import (
    AGAIN,
    moved_write,
    read_json,
    read_whole,
    refuse_hopeless,
    unusable_proxy,
)
from hubkit.sdk.retry import TRANSIENT, Patience, retry_after

LOST = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
"""The answer did not come, whole; what was asked may have been done all the same."""
_ONCE = re.compile(
    r"/api/v1/(models|repos/models/[^/]+/[^/]+/commit/.+|models/[^/]+/[^/]+/repo/tag)"
)
"""Requests that change something each time: before they are repeated, one asks whether they took.
"""
_DOWNLOAD = "/repo"
"""Where the path of a file's own bytes ends."""
_LISTING = "/repo/files"
_CONNECTIONS = 16


@dataclass(frozen=True)
class Terms:
    """How the hub may be spoken to; `hosts` (with port) may be sent the token."""

    endpoint: str
    token: str
    timeout: int
    patience: Patience
    run: Run

    def trusts(self, url: str) -> bool:
        """The hub itself, and `lfs.` before its domain, where ModelScope takes large files."""
        theirs, ours = urlsplit(url), urlsplit(self.endpoint)
        if (theirs.scheme, theirs.port) != (ours.scheme, ours.port):
            return False
        domain = (ours.hostname or "").removeprefix("www.")
        return theirs.hostname in (ours.hostname, f"lfs.{domain}")


class PatientAdapter(HTTPAdapter):
    def __init__(self, terms: Terms) -> None:
        super().__init__(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS, max_retries=0)
        self._terms = terms

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, stream: bool = False, **keywords: Any
    ) -> requests.Response:
        terms, url = self._terms, urlsplit(request.url or "")
        _give_token(request, terms)
        once = request.method == "POST" and _ONCE.fullmatch(url.path) is not None
        name, attempt = f"{request.method} {url.hostname}{url.path}", 0
        while True:
            attempt += 1
            terms.run.check_cancelled()
            try:
                response = super().send(request, stream=True, **keywords)
                if not stream or not url.path.endswith(_DOWNLOAD):
                    _read(response, name)
                if url.path.endswith(_LISTING) and response.status_code == 200:
                    _check_listing(response, name)
            except requests.exceptions.InvalidSchema as error:  # no package for a SOCKS proxy
                raise unusable_proxy(str(error)) from None
            except requests.exceptions.InvalidProxyURL as error:
                raise unusable_proxy(str(error)) from None
            except LOST as error:
                refuse_hopeless(name, error)
                if once and not _never_sent(error):
                    raise
                terms.patience.wait(attempt, f"{name}: {type(error).__name__}")
                continue
            _refuse_moved_write(response, name)
            if response.status_code not in TRANSIENT or (once and response.status_code != 429):
                return response
            response.close()
            terms.patience.wait(
                attempt,
                f"{name}: the hub answered {response.status_code}",
                retry_after(response.headers),
            )


def _give_token(request: requests.PreparedRequest, terms: Terms) -> None:
    """The token goes to the hub, and nothing else does: requests puts what ~/.netrc says in its
    place, also when it follows a redirect."""
    if not terms.trusts(request.url or ""):
        for header in ("Authorization", "Cookie"):
            request.headers.pop(header, None)
    elif "Authorization" in request.headers:
        del request.headers["Authorization"]
        if terms.token:
            request.headers["Authorization"] = f"Bearer {terms.token}"


def _read(response: requests.Response, name: str) -> None:
    """As `response.content`, within bounds. modelscope_hub 0.5 reads the raw answer of a listing,
    which then is empty, unless it has no `stream`."""
    try:
        response._content = read_whole(response.iter_content(1 << 16), name)
    finally:
        response.close()
    response._content_consumed = True
    response.raw = io.BytesIO()


def _check_listing(response: requests.Response, name: str) -> None:
    """modelscope_hub 0.5 takes an answer that lists nothing for an empty repository.

    Raises:
        RemoteError: it is no listing.
    """
    data = read_json(response.content, dict, name).get("Data")
    files = data.get("Files") if isinstance(data, dict) else data
    if not isinstance(files, list) or not all(isinstance(one, dict) for one in files):
        raise RemoteError(f"{name}: the answer lists no files", AGAIN)


def _refuse_moved_write(response: requests.Response, name: str) -> None:
    """
    Raises:
        RemoteError: a request that changes something is sent on to another host, or would become
            one that changes nothing.
    """
    request = response.request
    if not response.is_redirect or request.method in ("GET", "HEAD"):
        return
    here, onward = (
        urlsplit(urljoin(request.url or "", place)) for place in ("", response.headers["location"])
    )
    if response.status_code in (307, 308) and here[:2] == onward[:2]:
        return
    raise moved_write(name, onward.hostname or "")


def _never_sent(error: Exception) -> bool:
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


class Api(HubApi):
    """HubApi over clients that keep our terms."""

    def __init__(self, terms: Terms) -> None:
        config = HubConfig(endpoint=terms.endpoint, token=terms.token)
        super().__init__(config)
        self._ours = LegacyClient(
            terms.token or None,
            terms.endpoint,
            timeout=terms.timeout,
            user_agent=build_user_agent(config=config),
        )
        session = requests.Session()
        for one in (session, self._ours._session, self._ours._read_session):
            own = type(one.get_adapter("https://"))
            adapter = type("PatientAdapter", (PatientAdapter, own), {})(terms)
            one.mount("https://", adapter)
            one.mount("http://", adapter)
        self._open = OpenAPIClient(config, session=session, timeout=terms.timeout, max_retries=1)

    @property
    def legacy(self) -> LegacyClient:
        return self._ours

    @property
    def openapi(self) -> OpenAPIClient:
        return self._open
