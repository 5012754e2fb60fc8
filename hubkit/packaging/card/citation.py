"""How to cite a release: BibTeX of itself, and of its family's paper."""

from __future__ import annotations

import re

from .facts import CardInput


def citation(facts: CardInput) -> str:
    """The entries, one after the other; empty when there is nothing to cite."""
    return "\n\n".join(filter(None, (_own(facts), facts.family.citation.strip())))


def _own(facts: CardInput) -> str:
    if facts.author is None:
        return ""
    fields = {
        "title": facts.title or facts.name,
        "author": facts.author.name,
        "year": facts.created[:4],
        "version": facts.tag,
    }
    if facts.download is not None:
        fields["howpublished"] = f"{facts.download.hub}: {facts.repository}"
    lines = [f"  {name} = {{{_plain(value)}}}" for name, value in fields.items()]
    key = re.sub(r"[^A-Za-z0-9]+", "-", facts.name).strip("-")
    return "\n".join([f"@misc{{{key},", ",\n".join(lines), "}"])


def _plain(value: str) -> str:
    """Without what has a meaning in BibTeX."""
    return re.sub(r"[{}\\%]", "", value)
