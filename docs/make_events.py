"""Writes docs/events.md from hubkit/cli/events.schema.json; a test checks that it is up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_name("events.md")
SCHEMA = Path(__file__).parents[1] / "hubkit" / "cli" / "events.schema.json"
HEAD = """# JSON events

Written by `make docs` from `hubkit schema --events`; do not edit.

With `--json` a command writes one JSON object a line to standard output, and nothing else. Each has
an `event`. A command that fails writes an `error` as its last line, and its exit code is the
process's. Events and fields keep their names and meanings; new ones may be added, so ignore what
you do not know.

```bash
hubkit check models/InternVL2-2B --json
hubkit release release.yaml --until prepare --json
```

[`notify`](release-file.md#notify) gives the same `stage` event to a command or a webhook.
"""


def page() -> str:
    """The page: a table for each event."""
    lines = [HEAD]
    for event in json.loads(SCHEMA.read_text("utf-8"))["oneOf"]:
        lines += [f"## {event['title']}", "", event["description"], ""]
        fields = {key: value for key, value in event["properties"].items() if key != "event"}
        if fields:
            lines += ["| Field | Type | |", "|---|---|---|"]
            lines += [
                f"| `{key}` | {_type(value)} | {'' if key in event['required'] else 'not always'} |"
                for key, value in fields.items()
            ]
            lines.append("")
    return "\n".join(lines)


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return "list of string" if field["type"] == "array" else str(field["type"])


if __name__ == "__main__":
    PLACE.write_text(page(), "utf-8")
