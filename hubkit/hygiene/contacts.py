"""E-mail addresses that nobody declared, and names of machines that only insiders reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .secrets import begins

_DOMAIN = re.compile(
    rb"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
    rb"(?:[a-z]{2}|[A-Z]{2}|(?i:com|org|net|edu|gov|mil|int|info|biz|dev|app|xyz|cloud|tech|online"
    rb"|site|name|pro|email|group)))(?![\w(\[-]|\.\w)"
)
_LOCAL_PART = re.compile(rb"[\w.%+-]{1,64}\Z")
_NOBODY = re.compile(
    rb"(?:.+\.)?example(?:\.(?:com|org|net|edu))?|(?:.+\.)?noreply\..+|.+\.(?:invalid|test)"
    rb"|localhost",
    re.IGNORECASE,
)
_ROLE = (b"git", b"noreply", b"no-reply")

_SUFFIX = re.compile(
    rb"\.(?:internal|intranet|corp|lan|localdomain|home\.arpa|local)(?![\w-])", re.IGNORECASE
)
_LABELS = re.compile(rb"(?:[\w-]{1,63}\.){0,8}[\w-]{1,63}\Z")
_ADDRESS = re.compile(
    rb"1(?:0(?:\.\d{1,3})|92\.168|72\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}(?![\w.]*\w)"
)
"""Private networks (RFC 1918)."""
_BARE = re.compile(rb"//[a-z][a-z-]{0,40}\d[\w-]{0,20}(?=[:/])")
"""A name without a domain, such as gpu07, in a URL."""
_PORT = re.compile(rb":\d{2,5}")
_ATTRIBUTE = re.compile(rb"\(|\.\w")


def mails(content: bytes, declared: str) -> Iterator[int]:
    """Where an e-mail address stands that is neither `declared` nor one that stands for nobody."""
    for found in _DOMAIN.finditer(content):
        if _NOBODY.fullmatch(found[1]):
            continue
        local = _LOCAL_PART.search(content[max(found.start() - 64, 0) : found.start()])
        if local is None or local[0].lower() in _ROLE:
            continue
        if (local[0] + found[0]).lower() != declared.lower().encode():
            yield found.start() - len(local[0])


def hosts(content: bytes) -> list[int]:
    """Where the name or address of a machine in a private network stands, in ascending order."""
    found = [match.start() + 2 for match in _BARE.finditer(content)]
    found += (at for match in _SUFFIX.finditer(content) if (at := _named(content, match)) >= 0)
    found += (m.start() for m in _ADDRESS.finditer(content) if _is_address(content, m))
    return sorted(found)


def _named(content: bytes, suffix: re.Match[bytes]) -> int:
    """Where the host name begins that ends in `suffix`; -1 where it is none, as in code."""
    labels = _LABELS.search(content[max(suffix.start() - 253, 0) : suffix.start()])
    if labels is None:
        return -1
    at = suffix.start() - len(labels[0])
    if _in_url(content, at):
        return at
    port = _PORT.match(content, suffix.end())
    telling = re.search(rb"[\d-]", labels[0]) or port or labels[0].lower().endswith(b"cluster")
    word = begins(content, at) and content[at - 1 : at] not in (b".", b"/", b"-")
    return at if word and telling and not _ATTRIBUTE.match(content, suffix.end()) else -1


def _is_address(content: bytes, match: re.Match[bytes]) -> bool:
    """Not a version: of these, 10.3.2.106 is one in real lists of packages."""
    at = match.start()
    if _in_url(content, at):
        return True
    alone = begins(content, at) and content[at - 1 : at] not in (b".", b"=", b"-", b"/")
    return alone and (match[0][:3] != b"10." or _PORT.match(content, match.end()) is not None)


def _in_url(content: bytes, at: int) -> bool:
    return content[max(at - 2, 0) : at] == b"//" or content[max(at - 1, 0) : at] == b"@"
