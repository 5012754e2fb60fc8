"""Model cards: their YAML, and their Markdown as HTML that is safe to show."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ..files import front_matter
from ..sdk import card_metadata as rules
from .database import Repository
from .hub import Hub

_SAFE_SCHEMES = {"http", "https", "mailto"}


def problems(text: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a card's YAML, as the hubs check it before a commit."""
    try:
        data = front_matter.read(text)
    except ValueError as error:
        return [str(error)], []
    if not data:
        return [], ["empty or missing yaml metadata in repo card"]
    return rules.problems(data), [] if "license" in data else ['"license" is missing']


def metadata(hub: Hub, repository: Repository, commit: str) -> dict[str, Any]:
    """The card's YAML at `commit`; empty when there is none that can be read."""
    try:
        data = front_matter.read(read(hub, repository, commit))
    except ValueError:
        return {}
    return {str(key): value for key, value in data.items() if _is_json(value)}


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int, bool))


def read(hub: Hub, repository: Repository, commit: str) -> str:
    """README.md at `commit`, "" without one."""
    file = hub.files(repository, commit).get("README.md")
    return (
        hub.git(repository).blob(file.blob).decode(errors="replace")
        if file and not file.pointer
        else ""
    )


def to_html(markdown: str, resolve: Callable[[str], str]) -> str:
    """Markdown (with tables) as sanitized HTML; `resolve` turns a relative path into the URL of
    that file."""
    import nh3
    from markdown_it import MarkdownIt

    rendered = (
        MarkdownIt("commonmark", {"html": True, "linkify": False})
        .enable(["table", "strikethrough"])
        .render(markdown)
    )

    def attribute(tag: str, name: str, value: str) -> str | None:
        if (tag, name) in (("img", "src"), ("a", "href")) and not re.match(
            r"[a-zA-Z][a-zA-Z0-9+.-]*:|#|//", value
        ):
            return resolve(value)
        return value

    allowed = {tag: set(names) for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
    allowed.setdefault("img", set()).update({"width", "height", "align"})
    for tag in ("div", "p", "h1", "h2", "h3", "td", "th"):
        allowed.setdefault(tag, set()).add("align")
    return nh3.clean(
        rendered, attributes=allowed, attribute_filter=attribute, url_schemes=_SAFE_SCHEMES
    )
