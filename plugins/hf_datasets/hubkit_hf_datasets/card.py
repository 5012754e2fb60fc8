"""The terms that a dataset's card states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubkit.sdk import Terms
from hubkit.sdk.files import read_text

_LIMIT = 1 << 16
"""Characters. With aliases, a card of 1 kB can stand for more data than memory holds."""


def terms(folder: Path) -> Terms:
    """From the front matter of README.md; nothing is stated when there is none."""
    data = _front_matter(folder / "README.md")
    license = data.get("license")
    license = license[0] if isinstance(license, list) and license else license
    name = str(license) if isinstance(license, str) else ""
    if name == "other" and isinstance(data.get("license_name"), str):
        name = data["license_name"]
    gate = data.get("extra_gated_prompt")
    notes = (" ".join(gate.split())[:400],) if isinstance(gate, str) and gate.strip() else ()
    link = data.get("license_link")
    return Terms(name, notes, (), link if isinstance(link, str) else "")


def _front_matter(card: Path) -> dict[str, Any]:
    import yaml

    try:
        text = read_text(card)
        if not text.startswith("---\n"):
            return {}
        matter = text[4:].partition("\n---")[0]
        if len(matter) > _LIMIT or any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(matter)):
            return {}
        data = yaml.safe_load(matter)
    except (OSError, ValueError, RecursionError, LookupError, AttributeError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}
