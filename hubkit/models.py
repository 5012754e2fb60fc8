"""A model folder and its family: the first look that every verb takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .registry import plugins
from .sdk import ModelFamily, Vision

_JSON_LIMIT = 64 << 20


@dataclass(frozen=True)
class Model:
    folder: Path
    config: dict[str, Any]
    family: ModelFamily

    @property
    def vision(self) -> Vision:
        preprocessor = self.folder / "preprocessor_config.json"
        return self.family.vision(
            self.config, read_json(preprocessor) if preprocessor.is_file() else None
        )


def open_model(folder: Path) -> Model:
    """Raises UsageError when `folder` is not a model folder, or no installed family recognises
    it."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder", "give the folder that holds the model's config.json"
        )
    config = read_json(folder / "config.json")
    return Model(folder, config, plugins().family_of(config))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of at most 64 MiB. Raises UsageError naming the file and the
    line."""
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise UsageError(
                f"{path} is larger than {_JSON_LIMIT:,} bytes", "is it the right file?"
            )
        data = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}",
            "download the model again; `hubkit check` lists what it needs",
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: not UTF-8 (byte {error.start})", "download the model again"
        ) from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}, line {error.lineno}: {error.msg}",
            "correct the JSON, or download the model again",
        ) from None
    if not isinstance(data, dict):
        raise UsageError(
            f"{path}: a JSON object is expected, not {type(data).__name__}",
            "download the model again",
        )
    return data
