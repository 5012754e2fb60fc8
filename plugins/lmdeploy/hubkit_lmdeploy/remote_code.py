"""Which Python files of a model folder would be run, and a view of the folder in which none of them is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hubkit.sdk import UsageError

KNOWN = ("internvl_chat",)
"""`model_type`s that `configuration_hubkit` knows."""
OURS = Path(__file__).with_name("configuration_hubkit.py")


def check_code(folder: Path, allowed: bool) -> None:
    """Raises UsageError when the folder cannot be loaded without its own Python files and they are not allowed."""
    if allowed:
        return
    config, tokenizer = (_read(folder / name) for name in ("config.json", "tokenizer_config.json"))
    needed = []
    if "AutoConfig" in config.get("auto_map", {}) and config.get("model_type") not in KNOWN:
        needed.append(f"config.json: auto_map.AutoConfig names {config['auto_map']['AutoConfig']}")
    if "AutoTokenizer" in tokenizer.get("auto_map", {}):
        needed.append(f"tokenizer_config.json: auto_map.AutoTokenizer names {tokenizer['auto_map']['AutoTokenizer']}")
    elif not (folder / "tokenizer.json").is_file():
        needed.append("there is no tokenizer.json")
    if needed:
        raise UsageError(
            f"{folder.name} can be loaded only by running Python files of its own: {'; '.join(needed)}",
            "read those files, then set the option allow_remote_code: true; or give the model a tokenizer.json "
            "(`hubkit convert` makes one) and take AutoTokenizer out of auto_map",
        )


@contextmanager
def shown(folder: Path, allowed: bool) -> Iterator[Path]:
    """The folder as LMDeploy may see it, under its own name: itself where its code is allowed; else a view of links to all its
    files but Python ones, in which config.json names our configuration class. LMDeploy starts processes that know nothing of
    this one (its check of the environment, its server's engine), so the class must be in the folder."""
    if allowed:
        yield folder
        return
    with TemporaryDirectory(prefix="hubkit-lmdeploy-") as place:
        view = Path(place, folder.name)
        view.mkdir()
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".py" and path.name != "config.json":
                (view / path.name).symlink_to(path.resolve())
        config = _read(folder / "config.json")
        config.pop("auto_map", None)
        if config.get("model_type") in KNOWN:
            config["auto_map"] = {"AutoConfig": f"{OURS.stem}.InternVLChatConfig"}
            shutil.copyfile(OURS, view / OURS.name)
        (view / "config.json").write_text(json.dumps(config), "utf-8")
        yield view


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
