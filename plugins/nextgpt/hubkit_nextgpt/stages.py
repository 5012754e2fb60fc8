"""Stage after stage: each begins with a snapshot of the one before, and is judged by what it wrote.

In the scratch folder: `stage-N/` is what the stage wrote, sealed by `stage.json` with the digests of what went in and came out.
A stage that was killed has none and runs again, from the snapshot (the current code's stages 2 and 3 from their own last
checkpoint); a sealed one is only judged.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, PluginError, RefusedError, Run, WeightsError
from hubkit.sdk.checkpoints import Weights, open_weights
from hubkit.sdk.child import last_lines, ran_out_of_memory, run_logged

from . import checkout, names
from .command import CHECKPOINTS, Launch, plan
from .compare import FROZEN, Report, compare
from .current import FILES
from .legacy import CHECKPOINT
from .options import Options

_SEAL = "stage.json"
_BEGUN = "begun.json"
_NOTHING = re.compile(r"^all params: .*\|\| trainable params: 0 \|\|")
"""What print_model_parameters of both codes prints before training, when nothing is."""


@dataclass(frozen=True)
class Stage:
    number: int
    folder: Path
    report: Report
    digest: str
    alpha: int = 0


def run_stages(options: Options, scratch: Path, run: Run) -> tuple[Stage, ...]:
    """Raises UsageError for what is missing before anything starts; PluginError when a stage ended without its checkpoint;
    EnvironmentFailure when memory was too small; RefusedError when it trained nothing, or what is not its own."""
    root = checkout.root(options)
    launches = plan(options, root)
    before, before_digest = _start(options, scratch)
    done: list[Stage] = []
    for place, (number, launch) in enumerate(launches.items()):
        run.check_cancelled()
        run.progress(place, len(launches), "stages")
        own = {path: str(value) for path, value in launch.own.items()}
        key = _digest_of([launch.arguments, own, checkout.digest(root, number), before_digest, number])
        folder = scratch / f"stage-{number}"
        if _sealed(folder, key):
            run.note(f"stage {number} was trained before: {folder.name}")
        else:
            _train(launch, root, scratch, before, key, run)
        earlier = read(before) if before else None
        report = compare(number, earlier, read(folder), options, launch.rank)
        for text in report.lines():
            run.note(f"stage {number}: {text}")
        report.refuse()
        before, before_digest = folder, _tree(folder)
        done.append(Stage(number, folder, report, before_digest, launch.alpha))
    run.progress(len(launches), len(launches), "stages")
    return tuple(done)


def read(folder: Path) -> Weights:
    """What is in the checkpoints of a stage's folder; the legacy code has one, the current one several.

    Raises:
        WeightsError: there is none, or it is a pickle of anything else than tensors.
    """
    if (folder / CHECKPOINT).is_file():
        return open_weights(folder / CHECKPOINT)
    found = [open_weights(folder / name) for name in FILES if (folder / name).is_file()]
    if not found:
        raise WeightsError(f"{folder.name} holds no checkpoint of NExT-GPT", f"name the folder with {CHECKPOINT}")
    whole = found[0]
    for one in found[1:]:
        later = {names.plain(name) for name in one}
        whole = whole.select(name for name in whole if names.plain(name) not in later) | one
    return whole


def _start(options: Options, scratch: Path) -> tuple[Path | None, str]:
    scratch.mkdir(parents=True, exist_ok=True)
    if not options.start:
        return None, ""
    source, folder = Path(options.start).expanduser().absolute(), scratch / "start"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    there = [source / name for name in CHECKPOINTS if (source / name).is_file()] if source.is_dir() else [source]
    for file in there:
        open_weights(file)
        shutil.copyfile(file, folder / (file.name if source.is_dir() else CHECKPOINT))
    read(folder)
    return folder, _tree(folder)


def _train(launch: Launch, root: Path, scratch: Path, before: Path | None, key: str, run: Run) -> None:
    number, work, log = launch.stage, scratch / "work", scratch / f"stage-{launch.stage}.log"
    line = launch.command(before, work)
    continued = _prepare(launch, work, before, key)
    if continued:
        run.note(f"stage {number}: it continues at {continued}; remove {work} to train it from its beginning")
    states = _states(work)
    checkout.view(root, scratch / "checkout", launch.own)
    run.note(f"stage {number}: training; its output is in {log.name}")

    def told(text: str) -> None:
        if _NOTHING.match(text):
            raise RefusedError(f"stage {number} of NExT-GPT would train nothing: {text.strip()}", FROZEN)

    # neither __pycache__ in the user's checkout, nor output that is held back
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    code = run_logged(line, log, run, cwd=scratch / "checkout" / launch.below, variables=variables, line=told)
    if code and ran_out_of_memory(log):
        message = f"not enough memory for stage {number} of NExT-GPT\n{last_lines(log)}"
        raise EnvironmentFailure(message, "lower the batch size in dsconfig/, or in the script's arguments")
    if code or _states(work) == states:
        what = f"with exit code {code}" if code else "with exit code 0 and wrote no checkpoint"
        raise PluginError(f"stage {number} of NExT-GPT ended {what}\n{last_lines(log)}", f"see the log, {log}")
    for left in work.glob("checkpoint-*"):
        shutil.rmtree(left)
    for name in ("log", "runs"):
        if (work / name).is_dir():
            _replace(work / name, scratch / f"stage-{number}-{name}")
    (work / _BEGUN).unlink()
    read(work)
    (work / _SEAL).write_text(json.dumps({"key": key, "digest": _tree(work)}), "utf-8")
    _replace(work, scratch / f"stage-{number}")


def _replace(source: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target)
    source.replace(target)


def _prepare(launch: Launch, work: Path, before: Path | None, key: str) -> str:
    """Makes the folder that the stage writes into, with what the stage before wrote; the checkpoint at which it continues."""
    kept: list[Path] = []
    # stage 1 of the current code saves no state of the trainer's, which then fails at its own checkpoint
    if not launch.legacy and launch.stage > 1 and _begun(work) == key:
        there = (path for path in work.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name))
        kept = [path for path in there if (path / "trainer_state.json").is_file()]
    if work.exists():
        for path in work.iterdir():
            if path not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    work.mkdir(exist_ok=True)
    for path in sorted(before.iterdir()) if before else ():
        if path.is_file() and path.name != _SEAL:
            shutil.copyfile(path, work / path.name)
    (work / _BEGUN).write_text(json.dumps(key), "utf-8")
    return max(kept, key=lambda path: int(path.name.rpartition("-")[2])).name if kept else ""


def _begun(work: Path) -> object:
    try:
        return json.loads((work / _BEGUN).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of each checkpoint."""
    paths = [folder / name for name in CHECKPOINTS]
    return {path.name: (s.st_ino, s.st_size, s.st_mtime_ns) for path in paths if path.is_file() for s in [path.stat()]}


def _sealed(folder: Path, key: str) -> bool:
    try:
        seal = json.loads((folder / _SEAL).read_text("utf-8"))
        return bool(seal["key"] == key and seal["digest"] == _tree(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _tree(folder: Path) -> str:
    """sha256 over the names and contents of a stage's files."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != _SEAL:
            whole = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    whole.update(block)
            found.append([path.relative_to(folder).as_posix(), whole.hexdigest()])
    return _digest_of(found)


def _digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
