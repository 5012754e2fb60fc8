"""Where a release and its variants go, and how people get them from there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..hygiene.contacts import hosts
from ..packaging.card import Download
from ..publishing.publish import Destination
from ..registry.plugins import plugins
from .spec.model import Spec

_HOST = re.compile(r"(?://|@)(?:[^/@\s]*@)?(\[[^\]]*\]|[^\s/:']+)")
"""The host of an address with or without a scheme: https://host/x, git@host:x."""


def first_download(targets: Sequence[Destination]) -> tuple[str, Download] | None:
    """The repository and how to download it, of the first target whose hub says how and whose
    address is not one of this machine or a private network."""
    for to, options in targets:
        hub, target = plugins().hub_of(to)
        told = getattr(hub, "download_command", None)
        command = told(target, options) if told else ""
        if command and _public(command):
            page = hub.page(target, options) if hasattr(hub, "page") else ""
            return hub.repository(target), Download(hub.title, command, page)
    return None


def all_targets(spec: Spec) -> list[Destination]:
    """Those of the release, and of each variant that has a repository of its own."""
    own = [variant for variant in spec.variants if variant.publish == "own"]
    return [
        *((target.to, target.options) for target in spec.publish),
        *((beside(t.to, variant.name), t.options) for variant in own for t in spec.publish),
    ]


def beside(to: str, variant: str) -> str:
    """`git:/srv/NAME.git` becomes `git:/srv/NAME-VARIANT.git`."""
    hub, target = plugins().hub_of(to)
    name = hub.repository(target).rpartition("/")[2]
    before, _, after = to.rpartition(name)
    return f"{before}{name}-{variant}{after}"


def _public(command: str) -> bool:
    named = (host.strip("[]") for host in _HOST.findall(command))
    return not hosts(command.encode()) and all(
        "." in host and not host.startswith("127.") for host in named
    )
