"""Stage after stage: each begins with a snapshot of the one before, and is judged by what it wrote.

In the scratch folder: `stage-N/` is what the stage wrote, sealed by `stage.json` with the digests of what went in and came out.
A stage that was killed has none and runs again, from the snapshot; a sealed one is only judged.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk import PluginError, Run, WeightsError
from hubkit.sdk.checkpoints import Weights, open_weights
from hubkit.sdk.child import last_lines, run_logged

from . import checkout, command, names
from .compare import Report, compare
from .options import Options, check_weights

_SEAL = "stage.json"
_JUDGEMENT = ("embeddings", "vocabulary", "stages")
"""Options that change no command: what was trained is judged again."""


@dataclass(frozen=True)
class Stage:
    number: int
    folder: Path
    report: Report
    digest: str


def run_stages(options: Options, scratch: Path, run: Run) -> tuple[Stage, ...]:
    """Raises UsageError for what is missing before anything starts; PluginError when a stage ended without its checkpoint;
    RefusedError when it trained nothing, or what is not its own."""
    check_weights(options.weights, ("imagebind", "vicuna"))
    code = checkout.digest(checkout.root(options))
    before, before_digest = _start(options, scratch)
    done: list[Stage] = []
    for place, number in enumerate(options.stages):
        run.check_cancelled()
        run.progress(place, len(options.stages), "stages")
        key = _digest_of([_asked(options), code, before_digest, number])
        folder = scratch / f"stage-{number}"
        if _sealed(folder, key):
            run.note(f"stage {number} was trained before: {folder.name}")
        else:
            _train(number, options, scratch, before, key, run)
        earlier = read(before) if before else None
        report = compare(number, earlier, read(folder), options)
        for title, group in report.groups.items():
            run.note(f"stage {number}: {title}: {group.changed:,} changed, {group.new:,} new of {group.parameters:,} parameters")
        report.refuse()
        if earlier is None:
            run.note(f"stage {number} began without a checkpoint: that its values moved cannot be told")
        before, before_digest = folder, _tree(folder)
        done.append(Stage(number, folder, report, before_digest))
    run.progress(len(options.stages), len(options.stages), "stages")
    return tuple(done)


def read(folder: Path) -> Weights:
    """What is in the checkpoints of a stage's folder; the legacy code has one, the current one several.

    Raises:
        WeightsError: there is none, or it is a pickle of anything else than tensors.
    """
    if (folder / command.CHECKPOINT).is_file():
        return open_weights(folder / command.CHECKPOINT)
    found = [open_weights(folder / name) for name in command.CURRENT_FILES if (folder / name).is_file()]
    if not found:
        raise WeightsError(f"{folder.name} holds no checkpoint of NExT-GPT", f"name the folder with {command.CHECKPOINT}")
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
    files = (
        [source / name for name in (command.CHECKPOINT, *command.CURRENT_FILES) if (source / name).is_file()]
        if source.is_dir()
        else [source]
    )
    for file in files:
        open_weights(file)
        shutil.copyfile(file, folder / (file.name if source.is_dir() else command.CHECKPOINT))
    read(folder)
    return folder, _tree(folder)


def _train(number: int, options: Options, scratch: Path, before: Path | None, key: str, run: Run) -> None:
    folder, work = scratch / f"stage-{number}", scratch / "work"
    for old in (folder, work):
        if old.exists():
            shutil.rmtree(old)
    work.mkdir()
    if before is not None:
        for path in sorted(before.iterdir()):
            if path.is_file() and path.name != _SEAL:
                shutil.copyfile(path, work / path.name)
    (work / "log").mkdir()
    states = _states(work)
    place = checkout.view(options, scratch / "checkout")
    line = command.build(number, options, place, before, work)
    log = scratch / f"stage-{number}.log"
    run.note(f"stage {number}: training; its output is in {log.name}")
    code = run_logged(line, log, run, cwd=place)
    shown = f"\n{last_lines(log)}"
    if code:
        raise PluginError(f"stage {number} of NExT-GPT ended with exit code {code}{shown}", f"see the log, {log}")
    if _states(work) == states:
        message = f"stage {number} of NExT-GPT ended with exit code 0 and wrote no checkpoint{shown}"
        raise PluginError(message, f"see the log, {log}")
    shutil.rmtree(work / "log")
    read(work)
    (work / _SEAL).write_text(json.dumps({"key": key, "digest": _tree(work)}), "utf-8")
    work.replace(folder)


def _states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of each checkpoint."""
    paths = [folder / name for name in (command.CHECKPOINT, *command.CURRENT_FILES)]
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


def _asked(options: Options) -> dict[str, object]:
    from hubkit.sdk.codec import encode

    return {name: value for name, value in encode(options).items() if name not in _JUDGEMENT}


def _digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
