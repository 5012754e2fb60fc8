"""Who asks: tokens (kept as digests, in memory only), links that carry their own permission, and
names of repositories."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlencode

from .refusal import Refusal

COOKIE = "m_session_id"
"""The cookie in which ModelScope's client sends its token."""
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_LINK_SECONDS = 6 * 3600


@dataclass(frozen=True)
class User:
    name: str
    write: bool


class Tokens:
    def __init__(self) -> None:
        self._users: dict[bytes, User] = {}
        self._lock = threading.Lock()

    def add(self, user: str = "rehearsal", *, write: bool = True, token: str | None = None) -> str:
        """A new token of `user`, or the given one; huggingface.js 2.17 takes none without `hf_`."""
        token = token or "hf_rehearsal" + secrets.token_hex(16)
        with self._lock:
            self._users[_digest(token)] = User(user, write)
        return token

    def revoke(self, token: str) -> None:
        with self._lock:
            self._users.pop(_digest(token), None)

    def user(self, token: str) -> User | None:
        with self._lock:
            return self._users.get(_digest(token))

    def of(self, authorization: str, cookie: str) -> User | None:
        """The user of a request; None when it names no one. A cookie that is not known (any more)
        names no one: browsers keep it when the hub starts with another token.

        Raises:
            Refusal: 401, the token in the header is unknown or has been revoked.
        """
        token = _from_header(authorization)
        if not token:
            return self.user(_from_cookie(cookie))
        if user := self.user(token):
            return user
        raise Refusal(401, "Invalid credentials in Authorization header")


class Links:
    """Links that permit one method on one path for six hours, as storage services sign them:
    clients send no token there."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, method: str, path: str, user: str) -> str:
        """`path` with the permission, given to `user`, in its query."""
        expires = str(int(time.time()) + _LINK_SECONDS)
        signature = self._signature(method, path, user, expires)
        return f"{path}?{urlencode({'user': user, 'expires': expires, 'signature': signature})}"

    def check(self, method: str, path: str, query: Mapping[str, str]) -> str:
        """The user to whom the link was given.

        Raises:
            Refusal: 403, the link is not one of this run of the hub, is for something else, or too
                old.
        """
        user, expires, signature = (query.get(key, "") for key in ("user", "expires", "signature"))
        expected = self._signature(method, path, user, expires)
        if (
            not hmac.compare_digest(signature.encode(), expected.encode())
            or int(expires) < time.time()
        ):
            raise Refusal(
                403, "this link is not valid (any more): ask the Git LFS batch API for a new one"
            )
        return user

    def _signature(self, *signed: str) -> str:
        return hmac.new(self._key, "\n".join(signed).encode(), hashlib.sha256).hexdigest()


def check_name(name: str) -> str:
    """`organisation/name` by the hubs' common rules.

    Raises:
        Refusal: 400, with the rule.
    """
    parts = name.split("/")
    if len(parts) != 2:
        raise Refusal(400, f"{name!r} is not a repository name: write organisation/name")
    for part in parts:
        if (
            not _NAME.fullmatch(part)
            or "--" in part
            or ".." in part
            or part.lower().endswith((".git", ".ipynb"))
        ):
            raise Refusal(
                400,
                f"{part!r} cannot be part of a repository name: 1 to 96 letters, digits, '-', '_', "
                "'.'; not '--' or '..'; no '-' or '.' at its ends; not ending in '.git'",
            )
    if parts[0].lower() in _RESERVED:
        raise Refusal(400, f"{parts[0]!r} cannot be an organisation: the hub's own pages are there")
    return name


_RESERVED = frozenset(
    {"api", "openapi", "models", "datasets", "spaces", "lfs", "events", "login", "logout", "static"}
)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _from_header(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "unreadable"
        return password or name
    return ""


def _from_cookie(header: str) -> str:
    try:
        cookies = SimpleCookie(header)
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
