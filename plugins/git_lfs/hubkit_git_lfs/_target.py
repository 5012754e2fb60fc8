"""What may follow `git:` in a target: a URL, `user@host:path`, or a local path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from hubkit.sdk import UsageError

PROTOCOLS = ("file", "http", "https", "ssh")
_SCP = re.compile(r"(?:[^\s/:@]+@)?(?P<host>[A-Za-z0-9][A-Za-z0-9.-]+):(?P<path>[^\s:][^\s]*)")
_TOKEN = re.compile(r"(hf|gh[pousr]|github_pat|api_org)_|glpat-|ms-[0-9a-f]{8}-")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Target:
    """`url` is for git, `page` for people; `host` has the port and is empty for a local repository
    at `local`."""

    url: str
    page: str
    repository: str
    host: str = ""
    local: Path | None = None

    @property
    def takes_token(self) -> bool:
        """A token may travel: over TLS, or inside this machine."""
        parts = urlsplit(self.url)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def parse(target: str) -> Target:
    """
    Raises:
        UsageError: nothing that git can push to, or a URL that carries credentials (which are not
            repeated).
    """
    text = target.strip()
    if not text or text.startswith("-") or any(ord(c) < 32 for c in text):
        raise _unusable(target, "it is empty, starts with a dash or has control characters")
    if re.match(r"[A-Za-z0-9+.-]+::", text):
        raise _unusable(target, "remote helpers (`name::`) run programs and are not allowed")
    if "://" in text:
        return _from_url(text)
    if (found := _SCP.fullmatch(text)) and not text.startswith((".", "/", "~")):
        return Target(
            text, text, _name(found["path"], with_organisation=True, target=text), found["host"]
        )
    return _from_path(Path(text).expanduser())


def _from_url(text: str) -> Target:
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "") + (f":{parts.port}" if parts.port else "")
    except ValueError as error:
        raise _unusable("this URL", str(error)) from None
    if (
        parts.password is not None
        or parts.query
        or parts.fragment
        or (parts.username and _TOKEN.match(parts.username))
    ):
        raise UsageError(
            f"the URL for {parts.hostname or 'the repository'} carries credentials or a query",
            "write the plain URL, and let a git credential helper log in, or name an environment "
            "variable that holds the token in the option `token_env`; revoke a token that was in a "
            "file",
        )
    if parts.scheme not in PROTOCOLS:
        raise _unusable(text, f"the protocols are {', '.join(PROTOCOLS)}")
    if parts.scheme == "file":
        if parts.hostname not in (None, "localhost"):
            raise _unusable(text, "a file URL has no host: file:///path/to/name.git")
        return _from_path(Path(unquote(parts.path)))
    if not parts.hostname:
        raise _unusable(text, "there is no host in it")
    page = text.rstrip("/").removesuffix(".git")
    return Target(text, page, _name(unquote(parts.path), with_organisation=True, target=text), host)


def _from_path(path: Path) -> Target:
    path = path.resolve()
    url = "file://" + quote(str(path))
    return Target(url, url, _name(str(path), with_organisation=False, target=str(path)), local=path)


def _name(path: str, *, with_organisation: bool, target: str) -> str:
    parts = [part for part in path.strip("/").removesuffix(".git").split("/") if part]
    if not parts or parts[-1] in (".", "..", "~"):
        raise _unusable(target, "there is no repository name in it")
    return "/".join(parts[-2:] if with_organisation else parts[-1:])


def _unusable(target: str, why: str) -> UsageError:
    return UsageError(
        f"git target {target!r}: {why}",
        "write git:https://host/org/name.git, git:git@host:org/name.git or git:/path/to/name.git",
    )
