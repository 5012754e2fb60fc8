"""The licence of each part that a NExT-GPT needs: a file of its own in the release, and a table in
the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import UsageError
from hubkit.sdk.codec import decode

FILE = "licenses.json"


@dataclass(frozen=True)
class Component:
    """`license` is an id such as `cc-by-nc-sa-4.0`; `included` says whether the release holds any
    of it."""

    part: str
    name: str
    license: str
    link: str = ""
    included: bool = False


PARTS = (
    "code",
    "delta",
    "language model",
    "encoder",
    "image diffusion",
    "video diffusion",
    "audio diffusion",
)
KNOWN: Mapping[str, Component] = {
    "code": Component("code", "NExT-GPT", "bsd-3-clause", "https://github.com/NExT-GPT/NExT-GPT"),
    "delta": Component("delta", "the weights of this release", "cc-by-nc-sa-4.0", included=True),
}
"""What NExT-GPT's own repository says: its code is BSD-3, weights made with it are for
non-commercial use."""


def components(given: Iterable[Mapping[str, Any]]) -> tuple[Component, ...]:
    """All parts in their order: what is known, and what the user states.

    Raises:
        UsageError: a part whose licence is neither known nor stated, all of them.
    """
    entries = list(given) if isinstance(given, Iterable) else [None]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageError(
            f"{FILE}: a list of mappings is expected", "state part, name and license of each"
        )
    stated = {one.part: one for one in (decode(Component, entry, FILE) for entry in entries)}
    if unknown := sorted(set(stated) - set(PARTS)):
        raise UsageError(
            f"{FILE}: unknown part {unknown[0]!r}", f"the parts are {', '.join(PARTS)}"
        )
    whole = {**KNOWN, **stated}
    bare = [
        part
        for part in PARTS
        if part not in whole or not whole[part].license.strip() or not whole[part].name.strip()
    ]
    if bare:
        raise UsageError(
            f"the licence is not known of: {', '.join(bare)}",
            f"state part, name and license of each in {FILE}, as the repository that you took it "
            "from says",
        )
    return tuple(whole[part] for part in PARTS)


_HEADS = {
    "en": ("| Part | Name | Licence | In this repository |", "yes", "no"),
    "zh": ("| 部分 | 名称 | 许可证 | 在本仓库中 |", "是", "否"),
}


def table(parts: Iterable[Component], language: str = "en") -> str:
    """A Markdown table."""
    head, yes, no = _HEADS[language]
    rows = [
        (f"| {one.part} | {_cell(one)} | `{_bare(one.license)}` | {yes if one.included else no} |")
        for one in parts
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def _cell(one: Component) -> str:
    good = one.link.startswith("https://") and not set(one.link) & set(" <>()\n\"'|`")
    return f"[{_bare(one.name)}]({one.link})" if good else _bare(one.name)


def _bare(text: str) -> str:
    """Letters, digits and what names consist of; anything that Markdown or HTML would read is left
    out."""
    return "".join(c for c in text if c.isalnum() or c in " .,:+-/()_")
