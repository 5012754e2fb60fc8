"""release.yaml as plain data, and the line on which each key stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ...errors import SpecError
from ...files import yaml_text
from ...files.yaml_text import Location
from ...sdk import files

_LIMIT = 1 << 18


@dataclass(frozen=True)
class Document:
    """`lines` maps a location such as ("train", "options", "rank") to its 1-based line;
    `overridden` are the locations that --set has replaced since."""

    path: Path
    data: Any
    lines: dict[Location, int]
    problems: tuple[str, ...]
    overridden: list[Location] = field(default_factory=list)

    def line(self, location: Location) -> int | None:
        """The line of `location`, or of the nearest enclosing key that is in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location)


def read(path: Path) -> Document:
    """Raises SpecError when the file is missing, not a regular file, too large, not UTF-8, or not
    YAML within bounds."""
    try:
        parsed = yaml_text.parse(files.read_text(path, _LIMIT))
    except OSError as error:
        raise SpecError(
            f"{path}: {error.strerror}",
            "give the path of a release.yaml, or write one with `hubkit init`",
        ) from None
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path}: not UTF-8 (byte {error.start})", "save the file as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        at = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        unquoted = error.context == "while scanning a block scalar"
        remedy = (
            "put a value that begins with > in quotes"
            if unquoted
            else "correct the YAML; indentation is by spaces"
        )
        raise SpecError(f"{path}{at}: {error.problem}", remedy) from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML ({yaml_text.why(error)})", "correct the YAML") from None
    return Document(
        path, {} if parsed.data is None else parsed.data, parsed.lines, tuple(parsed.problems)
    )
