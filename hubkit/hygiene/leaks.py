"""Credentials and local paths in text: where they are, never what they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

CREDENTIAL_NAMES = re.compile(
    r"(\.env(\..*)?|\.netrc|_netrc|\.git-credentials|\.npmrc|\.pypirc|id_(rsa|dsa|ecdsa|ed25519)|credentials(\.json)?|.*\.(pem|key|p12|pfx|kdbx))",
    re.IGNORECASE,
)

_CREDENTIALS: tuple[tuple[str, str], ...] = (
    ("a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    ("a ModelScope token", r"\bms-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("an API key", r"\bsk-(?:[a-z]+-)*[A-Za-z0-9_]{32,}"),
    ("a Slack token", r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    (
        "a password in a URL",
        r"\b[a-z][a-z+]{2,9}://[^\s/:@\"'<>{}]+:[^\s/@\"'<>{}]{3,}@[A-Za-z0-9]",
    ),
)
_CREDENTIAL = re.compile(
    "|".join(f"(?P<k{i}>{pattern})" for i, (_, pattern) in enumerate(_CREDENTIALS)).encode()
)

_ROOTS = (
    r"(?:home|Users|mnt|media|data)/[\w.-]+",
    r"root|tmp|workspace|scratch|nfs|lustre|gpfs|var/folders|content/drive",
)
_LOCAL_PATH = re.compile(
    rf"(?<![\w.~:/@$}}-])(?:file://)?/(?:{'|'.join(_ROOTS)})/[\w.-]|file:///\w|\b[A-Za-z]:\\\\?Users\\|(?<![\w~])~/[\w.-]+/".encode()
)
_JSON_PATH = re.compile(r"/[\w.@+-]+(/[\w.@+ -]+)+/?|[A-Za-z]:[\\/].+|~/.+|file://.+")
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "added_tokens.json",
    "special_tokens_map.json",
)
"""Files whose strings are tokens: `/home/` may be one."""


def credentials(data: bytes) -> Iterator[tuple[int, str]]:
    """(line, kind) of everything that looks like a credential."""
    for found in _CREDENTIAL.finditer(data):
        yield _line(data, found.start()), _CREDENTIALS[int((found.lastgroup or "k0")[1:])][0]


def local_paths(name: str, data: bytes) -> Iterator[tuple[int, str]]:
    """(line, what) of everything that looks like a path of one machine; in JSON, of every string
    that is an absolute path."""
    if name in _VOCABULARIES:
        return
    lines = {_line(data, found.start()): "a local path" for found in _LOCAL_PATH.finditer(data)}
    if name.endswith(".json"):
        lines.update(_json_paths(data))
    yield from sorted(lines.items())


def _json_paths(data: bytes) -> Iterator[tuple[int, str]]:
    try:
        strings = list(_strings(json.loads(data), ""))
    except (ValueError, RecursionError):
        return
    for key, value in strings:
        if _JSON_PATH.fullmatch(value):
            at = max(
                data.find(json.dumps(value).encode()),
                data.find(json.dumps(value, ensure_ascii=False).encode()),
                0,
            )
            yield _line(data, at), f"a local path under the key `{key}`"


def _strings(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def is_text(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"\0" not in stream.read(8192)
