"""How people will get the release, for its card: from the first of its targets that others can
reach."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..hygiene.contacts import hosts
from ..packaging.card import Download
from ..registry.plugins import plugins

_HOST = re.compile(r"(?://|@)(?:[^/@\s]*@)?(\[[^\]]*\]|[^\s/:']+)")
"""The host of an address with or without a scheme: https://host/x, git@host:x."""


def first_download(targets: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[str, Download] | None:
    """The repository and how to download it, of the first target whose hub says how and whose
    address is not one of this machine or a private network."""
    for to, options in targets:
        hub, target = plugins().hub_of(to)
        told = getattr(hub, "download_command", None)
        command = told(target, options) if told else ""
        if command and _public(command):
            return hub.repository(target), Download(hub.title, command)
    return None


def _public(command: str) -> bool:
    named = (host.strip("[]") for host in _HOST.findall(command))
    return not hosts(command.encode()) and all(
        "." in host and not host.startswith("127.") for host in named
    )
