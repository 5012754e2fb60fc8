"""NExT-GPT's own demo or prediction, from the user's checkout, once everything that it loads is
there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from hubkit.sdk import PluginError, Run, SilentRun, UsageError, json_text
from hubkit.sdk.checkpoints import open_weights
from hubkit.sdk.child import last_lines, run_logged

from . import checkout, legacy
from .current import PLACES
from .folders import read
from .options import WEIGHTS, Options, check_weights, inside

_MADE = ("assets/images", "assets/videos", "assets/audios", "temp")
"""Folders beside the program into which it writes what it generates."""
_MODELS = ("nextgpt-v1.5-7b", "checkpoints/nextgpt-v1.5-7b")
"""predict.py names the second, and by an exchange of its arguments loads the first."""
_NAMED = {
    "multimodal_input_tower": "imagebind",
    "image_decoder": "stable_diffusion",
    "video_decoder": "zeroscope",
    "audio_decoder": "audioldm",
}
"""Keys of the current code's config.json; the language model is in that folder itself."""


def demo(
    options: Options,
    checkpoint: Path,
    scratch: Path,
    *,
    python: str = sys.executable,
    program: str = "",
    arguments: tuple[str, ...] = (),
    run: Run | None = None,
) -> None:
    """Runs a program of the checkout until it ends or is interrupted; what it generates is in
    `scratch/made`. `python` is NExT-GPT's interpreter.

    Of the legacy code `program` is `demo_app.py` (the default; where config/__init__.py asks for
    args["mode"], as in the last commit, it ends with a KeyError) or `inference.py`, and
    `checkpoint` a folder that `restore` or the stages wrote. Of the current code it is
    `predict.py`, and `checkpoint` the whole model that the checkout's `merge_lora_weights.py`
    writes.

    Raises:
        UsageError: base weights, checkpoint or program are missing: all weights that are, before
            anything is started.
        WeightsError: the checkpoint cannot be read.
        PluginError: the program failed.
    """
    run, checkpoint, scratch = run or SilentRun(), checkpoint.absolute(), scratch.absolute()
    root, old = checkout.root(options), options.launcher == "legacy"
    program, below = program or ("demo_app.py" if old else "predict.py"), "code" if old else "."
    check_weights(options, WEIGHTS if old else _NAMED.values())
    own = {
        **checkout.data(options),
        **(_legacy(root, options, checkpoint) if old else _current(options, checkpoint)),
    }
    if not (root / below / program).is_file():
        raise UsageError(f"the checkout has no {below}/{program}", "name a program of the checkout")
    interpreter = shutil.which(python)
    if interpreter is None:
        raise UsageError(
            f"there is no interpreter {python}", "name the python of NExT-GPT's environment"
        )
    for folder in _MADE:
        (scratch / "made" / folder).mkdir(parents=True, exist_ok=True)
        own[f"code/{folder}" if old else folder] = scratch / "made" / folder
    checkout.view(root, scratch / "checkout", own)
    if old and program == "demo_app.py":
        arguments = ("--nextgpt_ckpt_path", f"../{legacy.DELTA}", *arguments)
    log = scratch / "demo.log"
    run.note(f"{program} runs with {checkpoint}; its output is in {log}")
    variables = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    command = [str(Path(interpreter).absolute()), program, *arguments]
    if code := run_logged(command, log, run, cwd=scratch / "checkout" / below, variables=variables):
        raise PluginError(
            f"{program} ended with exit code {code}\n{last_lines(log)}", f"see the log, {log}"
        )


def _legacy(root: Path, options: Options, checkpoint: Path) -> dict[str, Path | str]:
    if not (checkpoint / legacy.CHECKPOINT).is_file():
        raise UsageError(
            f"{checkpoint} holds no {legacy.CHECKPOINT}",
            "name a folder that `restore` or the stages wrote",
        )
    read(checkpoint)
    return {**legacy.own(root, options), legacy.DELTA: checkpoint}


def _current(options: Options, checkpoint: Path) -> dict[str, Path | str]:
    try:
        config = json_text.load(checkpoint / "config.json")
        places = {key: inside(config[key]) for key in _NAMED}
    except (OSError, ValueError, KeyError, TypeError):
        message = (
            f"{checkpoint} is no whole model of NExT-GPT: its config.json must have "
            f"{', '.join(_NAMED)}"
        )
        raise UsageError(
            message, "name the folder that the checkout's merge_lora_weights.py wrote"
        ) from None
    open_weights(checkpoint)
    own: dict[str, Path | str] = dict.fromkeys(_MODELS, checkpoint)
    for key, place in places.items():
        if place is None:
            usual = PLACES[_NAMED[key]][1]
            raise UsageError(
                f"config.json: {key} is {config[key]!r}, no path in the checkout",
                f"set it to {usual!r} there",
            )
        own[place] = options.folder(_NAMED[key])
    return own
