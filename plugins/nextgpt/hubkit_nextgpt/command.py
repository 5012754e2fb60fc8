"""The command that runs a stage."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, UsageError

from .options import Options

CHECKPOINT = "pytorch_model.pt"
SCRIPTS = {1: "scripts/pretrain_enc.sh", 2: "scripts/pretrain_dec.sh", 3: "scripts/finetune.sh"}
CURRENT_FILES = (
    "mm_input_projector.bin",
    "mm_output_projector.bin",
    "adapter_model.bin",
    "adapter_model.safetensors",
    "non_lora_trainables.bin",
)
"""What the current code writes: after stage 1 the first, after stage 2 the second, after stage 3 the others."""


def build(stage: int, options: Options, place: Path, before: Path | None, out: Path) -> list[str]:
    """`place` is the view of the checkout, `before` the folder of what earlier stages wrote, `out` where this one writes.

    Raises:
        EnvironmentFailure: the launcher is not installed.
        UsageError: a script is not there, or not what hubkit can read.
    """
    program = shutil.which(str(Path(options.deepspeed).expanduser()))
    if program is None:
        raise EnvironmentFailure(
            f"the launcher {options.deepspeed!r} is not there", "name deepspeed of NExT-GPT's environment with `deepspeed`"
        )
    launch = [program, *(["--include", options.include] if options.include else [])]
    if options.launcher == "legacy":
        own = ["--model", "nextgpt", "--stage", str(stage), "--save_path", str(out), "--log_path", str(out / "log")]
        return [*launch, "train.py", *own, *options.arguments]
    given = from_script(place / options.scripts.get(str(stage), SCRIPTS[stage]))
    own_values = dict(_current(stage, options, before, out))
    kept = [word for key, values in given if key not in own_values for word in (key, *values)]
    return [*launch, "train_mem.py", *kept, *(word for pair in own_values.items() for word in pair), *options.arguments]


def _current(stage: int, options: Options, before: Path | None, out: Path) -> Iterator[tuple[str, str]]:
    yield "--output_dir", str(out)
    for name, key in (("vicuna", "--model_name_or_path"), ("imagebind", "--multimodal_tower")):
        if name in options.weights:
            yield key, str(Path(options.weights[name]).expanduser().absolute())
    for name, key in (("stable_diffusion", "image"), ("zeroscope", "video"), ("audioldm", "audio")):
        if name in options.weights and stage > 1:
            yield f"--{key}_decoder", str(Path(options.weights[name]).expanduser().absolute())
    if before and stage > 1:
        yield "--pretrain_mm_input_adapter", str(before / "mm_input_projector.bin")
    if before and stage > 2:
        for kind in ("img", "vid", "aud"):
            yield f"--pretrain_mm_output_{kind}_adapter", str(before / "mm_output_projector.bin")
    if stage == 3:
        yield "--lora_r", str(options.lora_rank)
        yield "--lora_alpha", str(options.lora_alpha)


def from_script(path: Path) -> list[tuple[str, list[str]]]:
    """The arguments of `train_mem.py` in a shell script, each with its values. Variables that the script sets itself, texts and
    arrays, are put in; nothing is run.

    Raises:
        UsageError: there is no such script, no such command in it, or something that only a shell can work out.
    """
    try:
        text = path.read_text("utf-8").replace("\\\n", " ")
    except OSError as error:
        raise UsageError(f"{path.name}: {error.strerror}", "name the stage's script under `scripts`") from None
    variables: dict[str, list[str]] = {}
    for name, array, value in re.findall(r"^(\w+)=(?:\(([^)]*)\)|(.*))$", text, re.M):
        words = shlex.split(array or value, comments=True)
        variables[name] = [part for word in words for part in _expanded(word, variables, path)]
    lines = [line for line in text.splitlines() if "train_mem.py" in line and not line.lstrip().startswith("#")]
    if len(lines) != 1:
        raise UsageError(f"{path.name} starts train_mem.py {len(lines)} times; one is expected", "name another script")
    words = shlex.split(lines[0].partition("train_mem.py")[2], comments=True)
    found: list[tuple[str, list[str]]] = []
    for word in (part for one in words for part in _expanded(one, variables, path)):
        if word.startswith("--"):
            found.append((word, []))
        elif found:
            found[-1][1].append(word)
    return found


def _expanded(word: str, variables: dict[str, list[str]], path: Path) -> list[str]:
    if match := re.fullmatch(r"\$\{?(\w+)(?:\[[@*]\])?\}?", word):
        if match[1] not in variables:
            raise UsageError(f"{path.name} uses ${match[1]}, which it does not set", "write its value into a copy of the script")
        return variables[match[1]]
    if "$" in word or "`" in word:
        raise UsageError(f"{path.name}: {word!r} is for a shell to work out", "write its value into a copy of the script")
    return [word]
