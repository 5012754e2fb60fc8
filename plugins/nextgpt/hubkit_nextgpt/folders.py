"""Folders of stages: what is in one, when it is whole, and the one in which a stage works."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from hubkit.sdk import WeightsError, json_text
from hubkit.sdk.checkpoints import Weights, open_weights

from . import names
from .command import CHECKPOINTS, Launch
from .current import FILES
from .legacy import CHECKPOINT

SEAL = "stage.json"
_BEGUN = "begun.json"


def read(folder: Path) -> Weights:
    """What is in the checkpoints of a stage's folder; the legacy code has one, the current one
    several.

    Raises:
        WeightsError: there is none, or it is a pickle of anything else than tensors.
    """
    if (folder / CHECKPOINT).is_file():
        return open_weights(folder / CHECKPOINT)
    found = [open_weights(folder / name) for name in FILES if (folder / name).is_file()]
    if not found:
        raise WeightsError(
            f"{folder.name} holds no checkpoint of NExT-GPT", f"name the folder with {CHECKPOINT}"
        )
    whole = found[0]
    for one in found[1:]:
        later = {names.plain(name) for name in one}
        whole = whole.select(name for name in whole if names.plain(name) not in later) | one
    return whole


def prepare(launch: Launch, work: Path, before: Path | None, key: str) -> str:
    """Makes the folder that the stage writes into, with what the stage before wrote; the checkpoint
    at which it continues."""
    kept: list[Path] = []
    # stage 1 of the current code saves no state of the trainer's, which then fails at its own
    # checkpoint
    if not launch.legacy and launch.stage > 1 and _begun(work) == key:
        there = (
            path for path in work.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)
        )
        kept = [path for path in there if (path / "trainer_state.json").is_file()]
    if work.exists():
        for path in work.iterdir():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    work.mkdir(exist_ok=True)
    for path in sorted(before.iterdir()) if before else ():
        if path.is_file() and path.name != SEAL:
            shutil.copyfile(path, work / path.name)
    (work / _BEGUN).write_text(json.dumps(key), "utf-8")
    return max(kept, key=lambda path: int(path.name.rpartition("-")[2])).name if kept else ""


def _begun(work: Path) -> object:
    try:
        return json_text.load(work / _BEGUN)
    except (OSError, ValueError):
        return None


def finish(work: Path, scratch: Path, stage: int, key: str) -> None:
    """Seals what the stage left in `work` as `stage-N`; its own logs go beside it, its checkpoints
    on the way are removed.

    Raises:
        WeightsError: what it left cannot be read.
    """
    for left in work.glob("checkpoint-*"):
        shutil.rmtree(left)
    for name in ("log", "runs"):
        if (work / name).is_dir():
            _replace(work / name, scratch / f"stage-{stage}-{name}")
    (work / _BEGUN).unlink()
    read(work)
    (work / SEAL).write_text(json.dumps({"key": key, "digest": tree(work)}), "utf-8")
    _replace(work, scratch / f"stage-{stage}")


def _replace(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    source.replace(target)


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of each checkpoint."""
    paths = [folder / name for name in CHECKPOINTS]
    return {
        path.name: (s.st_ino, s.st_size, s.st_mtime_ns)
        for path in paths
        if path.is_file()
        for s in [path.stat()]
    }


def sealed(folder: Path, key: str) -> bool:
    try:
        seal = json_text.load(folder / SEAL)
        return bool(seal["key"] == key and seal["digest"] == tree(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def tree(folder: Path) -> str:
    """sha256 over the names and contents of a stage's files."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SEAL:
            whole = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    whole.update(block)
            found.append([path.relative_to(folder).as_posix(), whole.hexdigest()])
    return digest_of(found)


def digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
