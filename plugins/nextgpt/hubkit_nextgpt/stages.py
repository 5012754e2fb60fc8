"""Stage after stage: each begins with a snapshot of the one before, and is judged by what it wrote.

In the scratch folder: `stage-N/` is what the stage wrote, sealed by `stage.json` with the digests
of what went in and came out. A stage that was killed has none and runs again, from the snapshot
(the current code's stages 2 and 3 from their own last checkpoint); a sealed one is only judged.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, PluginError, RefusedError, Run, UsageError
from hubkit.sdk.checkpoints import open_weights
from hubkit.sdk.child import last_lines, ran_out_of_memory, run_logged

from . import checkout
from .command import CHECKPOINTS, Launch, plan
from .compare import FROZEN, Report, compare
from .folders import digest_of, finish, prepare, read, sealed, states, tree
from .legacy import CHECKPOINT
from .options import Options

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
    """Raises UsageError for what is missing before anything starts; PluginError when a stage ended
    without its checkpoint; EnvironmentFailure when memory was too small; RefusedError when it
    trained nothing, or what is not its own."""
    root, scratch = checkout.root(options), scratch.absolute()
    launches = plan(options, root)
    before, before_digest = _start(options, scratch)
    done: list[Stage] = []
    for place, (number, launch) in enumerate(launches.items()):
        run.check_cancelled()
        run.progress(place, len(launches), "stages")
        own = {path: str(value) for path, value in launch.own.items()}
        key = digest_of(
            [launch.arguments, own, checkout.digest(root, number), before_digest, number]
        )
        folder = scratch / f"stage-{number}"
        if sealed(folder, key):
            run.note(f"stage {number} was trained before: {folder.name}")
        else:
            _train(launch, root, scratch, before, key, run)
        earlier = read(before) if before else None
        language = (
            open_weights(options.folder("vicuna"))
            if earlier is None and options.embeddings == "new_rows"
            else None
        )
        report = compare(number, earlier, read(folder), options, launch.rank, language)
        for text in report.lines():
            run.note(f"stage {number}: {text}")
        report.refuse()
        before, before_digest = folder, tree(folder)
        done.append(Stage(number, folder, report, before_digest, launch.alpha))
    run.progress(len(launches), len(launches), "stages")
    return tuple(done)


def _start(options: Options, scratch: Path) -> tuple[Path | None, str]:
    scratch.mkdir(parents=True, exist_ok=True)
    if not options.start:
        return None, ""
    source, folder = Path(options.start).expanduser().absolute(), scratch / "start"
    if not source.exists():
        raise UsageError(
            f"start: {source} is not there", "name the folder that the stage before wrote"
        )
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    there = (
        [source / name for name in CHECKPOINTS if (source / name).is_file()]
        if source.is_dir()
        else [source]
    )
    for file in there:
        open_weights(file)
        shutil.copyfile(file, folder / (file.name if source.is_dir() else CHECKPOINT))
    read(folder)
    return folder, tree(folder)


def _train(
    launch: Launch, root: Path, scratch: Path, before: Path | None, key: str, run: Run
) -> None:
    number, work, log = launch.stage, scratch / "work", scratch / f"stage-{launch.stage}.log"
    line = launch.command(before, work)
    continued = prepare(launch, work, before, key)
    if continued:
        run.note(
            f"stage {number}: it continues at {continued}; remove {work} to train it from its "
            "beginning"
        )
    found = states(work)
    checkout.view(root, scratch / "checkout", launch.own)
    run.note(f"stage {number}: training; its output is in {log.name}")

    def told(text: str) -> None:
        if _NOTHING.match(text):
            raise RefusedError(
                f"stage {number} of NExT-GPT would train nothing: {text.strip()}", FROZEN
            )

    # neither __pycache__ in the user's checkout, nor output that is held back
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    code = run_logged(
        line, log, run, cwd=scratch / "checkout" / launch.below, variables=variables, line=told
    )
    if code and ran_out_of_memory(log):
        message = f"not enough memory for stage {number} of NExT-GPT\n{last_lines(log)}"
        raise EnvironmentFailure(
            message, "lower the batch size in dsconfig/, or in the script's arguments"
        )
    if code or states(work) == found:
        what = f"with exit code {code}" if code else "with exit code 0 and wrote no checkpoint"
        raise PluginError(
            f"stage {number} of NExT-GPT ended {what}\n{last_lines(log)}", f"see the log, {log}"
        )
    finish(work, scratch, number, key)
