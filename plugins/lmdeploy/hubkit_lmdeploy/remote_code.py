"""Which Python files of a model folder would be run, and a view of the folder in which none of them
is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hubkit.sdk import UsageError, json_text

KNOWN = ("internvl_chat",)
"""`model_type`s that `configuration_hubkit` knows."""
OURS = Path(__file__).with_name("configuration_hubkit.py")


def check_code(folder: Path, allowed: bool) -> None:
    """Raises UsageError when the folder cannot be loaded without its own Python files and they are
    not allowed."""
    if allowed:
        return
    config, tokenizer = (_read(folder / name) for name in ("config.json", "tokenizer_config.json"))
    needed = []
    if "AutoConfig" in config.get("auto_map", {}) and config.get("model_type") not in KNOWN:
        needed.append(f"config.json: auto_map.AutoConfig names {config['auto_map']['AutoConfig']}")
    if "AutoTokenizer" in tokenizer.get("auto_map", {}):
        needed.append(
            "tokenizer_config.json: auto_map.AutoTokenizer names "
            f"{tokenizer['auto_map']['AutoTokenizer']}"
        )
    elif not (folder / "tokenizer.json").is_file():
        needed.append("there is no tokenizer.json")
    if needed:
        raise UsageError(
            f"{folder.name} can be loaded only by running Python files of its own: "
            f"{'; '.join(needed)}",
            "read those files, then set the option allow_remote_code: true; or give the model a "
            "tokenizer.json (`hubkit convert` makes one) and take AutoTokenizer out of auto_map",
        )


@contextmanager
def shown(folder: Path, allowed: bool) -> Iterator[Path]:
    """The folder as LMDeploy may see it, under its own name: itself where its code is allowed; else
    a view of links to all its files but Python ones, in which nothing names code but config.json,
    our configuration class. LMDeploy starts processes that know nothing of this one (its check of
    the environment, its server's engine), so the class must be in the folder."""
    if allowed:
        yield folder
        return
    with TemporaryDirectory(prefix="hubkit-lmdeploy-") as place:
        view = Path(place, folder.name)
        view.mkdir()
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".py":
                (view / path.name).symlink_to(path.resolve())
        for path in view.glob("*config*.json"):
            _replace(path, _without_code(_read(path)))
        config = _read(view / "config.json")
        if config.get("model_type") in KNOWN:
            _replace(
                view / "config.json",
                config | {"auto_map": {"AutoConfig": f"{OURS.stem}.InternVLChatConfig"}},
            )
            shutil.copyfile(OURS, view / OURS.name)
        yield view


def _without_code(data: Any) -> Any:
    """Without any `auto_map`: it may also name code of another repository."""
    if isinstance(data, dict):
        return {key: _without_code(value) for key, value in data.items() if key != "auto_map"}
    return [_without_code(item) for item in data] if isinstance(data, list) else data


def _replace(link: Path, data: Any) -> None:
    """By a file: what is written through a link changes the model."""
    link.unlink()
    link.write_text(json.dumps(data), "utf-8")


def _read(path: Path) -> Any:
    return json_text.load(path) if path.is_file() else {}
