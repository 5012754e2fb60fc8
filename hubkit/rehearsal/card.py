"""Model cards: their YAML, and their Markdown as HTML that is safe to show."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from .database import Repository
from .hub import Hub

_FRONT = re.compile(
    r"\A---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)
_SAFE_SCHEMES = {"http", "https", "mailto"}


def split(text: str) -> tuple[str, str]:
    """The YAML between the leading `---` lines ("" when there is none), and the rest."""
    found = _FRONT.match(text)
    return (found["yaml"], text[found.end() :]) if found else ("", text)


def problems(text: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a card's YAML, as the hubs check it before a commit."""
    front, _ = split(text)
    if not front.strip():
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(front)
    except yaml.YAMLError as error:
        return [f"the metadata is not YAML: {error}"], []
    if not isinstance(data, dict):
        return ["the metadata is not a mapping"], []
    errors = [
        f'"{key}" must be a string'
        for key in ("pipeline_tag", "library_name")
        if not isinstance(data.get(key, ""), str)
    ]
    for key in ("tags", "datasets", "metrics"):
        if not isinstance(data.get(key, []), (list, str)):
            errors.append(f'"{key}" must be an array')
    if not isinstance(data.get("license", ""), (str, list)):
        errors.append('"license" must be a string')
    return errors, [] if "license" in data else ['"license" is missing']


def metadata(hub: Hub, repository: Repository, commit: str) -> dict[str, Any]:
    """The card's YAML at `commit`; empty when there is none that can be read."""
    text = read(hub, repository, commit)
    try:
        data = yaml.safe_load(split(text)[0])
    except yaml.YAMLError:
        return {}
    # dates and the like are not JSON
    return (
        {str(key): value for key, value in data.items() if _is_json(value)}
        if isinstance(data, dict)
        else {}
    )


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_json(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))


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
