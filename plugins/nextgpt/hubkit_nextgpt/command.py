"""What runs a stage: its command, and what the view of the checkout has for it. All of it is known
before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hubkit.sdk import EnvironmentFailure

from . import checkout, current, legacy
from .options import Options, check_weights

CHECKPOINTS = (legacy.CHECKPOINT, *current.FILES)


@dataclass(frozen=True)
class Launch:
    """`arguments` are those that do not change from run to run; `own` is what the view has in place
    of the checkout's. `rank` and `alpha` are of the stage's LoRA, 0 without one."""

    stage: int
    legacy: bool
    start: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    own: Mapping[str, Path | str] = field(default_factory=dict)
    rank: int = 0
    alpha: int = 0

    @property
    def below(self) -> str:
        """The folder to start in."""
        return "code" if self.legacy else "."

    def command(self, before: Path | None, out: Path) -> list[str]:
        """`before` is the folder of what earlier stages wrote, `out` where this one writes.

        Raises:
            UsageError: this stage begins with something that is not in `before`.
        """
        paths = (
            legacy.arguments(self.stage, out)
            if self.legacy
            else current.paths(self.stage, before, out)
        )
        return [*self.start, "train.py" if self.legacy else "train_mem.py", *self.arguments, *paths]


def plan(options: Options, root: Path) -> dict[int, Launch]:
    """For each stage.

    Raises:
        EnvironmentFailure: the launcher is not installed.
        UsageError: base models, data or scripts are missing, or a stage is configured to train
            something else than it is for.
    """
    program = shutil.which(str(Path(options.deepspeed).expanduser()))
    if program is None:
        raise EnvironmentFailure(
            f"the launcher {options.deepspeed!r} is not there",
            "name deepspeed of NExT-GPT's environment with `deepspeed`",
        )
    start = (
        str(Path(program).absolute()),
        *(("--include", options.include) if options.include else ()),
    )
    data = checkout.data(options)
    if options.launcher == "legacy":
        check_weights(options, ("imagebind", "vicuna"))
        for stage in options.stages:
            legacy.check(stage, root)
        lora = {
            stage: legacy.lora(root, options) if stage == 3 else (0, 0) for stage in options.stages
        }
        own = {stage: {**data, **legacy.own(root, options, stage)} for stage in options.stages}
        return {
            n: Launch(n, True, start, options.arguments.get(str(n), ()), own[n], *lora[n])
            for n in options.stages
        }
    found = {stage: current.given(stage, root, options) for stage in options.stages}
    places = {stage: current.links(arguments) for stage, arguments in found.items()}
    check_weights(options, sorted({name for links in places.values() for name in links}))
    return {
        stage: Launch(
            stage,
            False,
            start,
            tuple(word for key, values in arguments.items() for word in (key, *values)),
            {**data, **{place: options.folder(name) for name, place in places[stage].items()}},
            *(current.lora(arguments) if stage == 3 else (0, 0)),
        )
        for stage, arguments in found.items()
    }
