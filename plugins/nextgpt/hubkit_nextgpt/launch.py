"""NExT-GPT's own demo, from the user's checkout, once everything that it loads is there."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from hubkit.sdk import PluginError, Run, SilentRun, UsageError
from hubkit.sdk.child import last_lines, run_logged

from . import checkout
from .command import CHECKPOINT
from .options import WEIGHTS, Options, check_weights
from .stages import read

_LEGACY = "ckpt/delta_ckpt/nextgpt/7b_tiva_v0"
"""Where the legacy demo_app.py looks for its delta."""


def demo(
    options: Options,
    checkpoint: Path,
    scratch: Path,
    *,
    python: str = sys.executable,
    program: str = "demo_app.py",
    arguments: tuple[str, ...] = (),
    run: Run | None = None,
) -> None:
    """Runs `program` (`demo_app.py`, or `inference.py` to predict) of the checkout with `checkpoint`, a folder that `restore` or
    the stages wrote, until it ends or is interrupted. `python` is NExT-GPT's interpreter.

    Raises:
        UsageError: base weights, checkpoint or program are missing: all that is, before anything is started.
        PluginError: the program failed.
    """
    run = run or SilentRun()
    check_weights(options.weights, WEIGHTS)
    read(checkpoint)
    source = checkout.root(options)
    below = "code/" if options.launcher == "legacy" else ""
    if not (source / below / program).is_file():
        raise UsageError(f"the checkout has no {below}{program}", "name a program of the checkout")
    if shutil.which(python) is None:
        raise UsageError(f"there is no interpreter {python}", "name the python of NExT-GPT's environment")
    scratch.mkdir(parents=True, exist_ok=True)
    data = {**options.data, _LEGACY: str(checkpoint.absolute())} if options.launcher == "legacy" else options.data
    place = checkout.view(replace(options, data=data), scratch / "checkout")
    if options.launcher == "current":
        arguments = ("--model_path", str(checkpoint.absolute()), "--model_base", options.weights["vicuna"], *arguments)
    log = scratch / "demo.log"
    run.note(f"{program} runs with {CHECKPOINT} of {checkpoint}; its output is in {log}")
    if code := run_logged([python, program, *arguments], log, run, cwd=place):
        raise PluginError(f"{program} ended with exit code {code}\n{last_lines(log)}", f"see the log, {log}")
