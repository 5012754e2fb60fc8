"""The current code: `train_mem.py` with the arguments of a shell script a stage. Each stage is
given the projections of the ones before as files, and writes its own into `--output_dir`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from hubkit.sdk import UsageError
from hubkit.sdk.files import read_text

from .options import Options, inside

INPUT, OUTPUT, REST = "mm_input_projector.bin", "mm_output_projector.bin", "non_lora_trainables.bin"
FILES = (INPUT, OUTPUT, "adapter_model.bin", "adapter_model.safetensors", REST)
"""What the stages write: stage 1 the first, stage 2 the second, stage 3 the others. Where two have
a tensor, the later counts."""

SCRIPTS: Mapping[int, str] = {
    1: "scripts/pretrain_enc.sh",
    2: "scripts/pretrain_dec.sh",
    3: "scripts/finetune.sh",
}
KINDS = ("img", "vid", "aud")
PLACES: Mapping[str, tuple[str, str, str]] = {
    "vicuna": ("--model_name_or_path", "./pretrain_ckpt/vicuna-7b-v1.5", r"(?!.*mpt)"),
    "imagebind": ("--multimodal_tower", "./pretrain_ckpt/imagebind", r".*imagebind"),
    "stable_diffusion": ("--image_decoder", "stabilityai/stable-diffusion-2", ""),
    "zeroscope": ("--video_decoder", "cerspense/zeroscope_v2_XL", ""),
    "audioldm": ("--audio_decoder", "cvssp/audioldm", ""),
}
"""The argument of each base model, where NExT-GPT has it, and what the code demands of the path: it
takes one with `mpt` for another model, one without `imagebind` for none, and the name of Stable
Diffusion 2 decides on the scheduler."""
_OWN = (
    "--output_dir",
    "--pretrain_mm_input_adapter",
    *(f"--pretrain_mm_output_{kind}_adapter" for kind in KINDS),
)

Arguments = dict[str, list[str]]


def given(stage: int, root: Path, options: Options) -> Arguments:
    """The script's arguments and the user's, without the paths that change from stage to stage.
    Base models are named by relative paths, at which the view has them: they end up in the
    config.json of the checkpoint.

    Raises:
        UsageError: there is no such script, hubkit cannot read it, or it trains something else than
            the stage is for.
    """
    path = root / options.scripts.get(str(stage), SCRIPTS[stage])
    asked = _grouped(options.arguments.get(str(stage), ()))
    if fixed := sorted(set(_OWN) & set(asked)):
        message = f"arguments of stage {stage}: {fixed[0]} is hubkit's to give"
        raise UsageError(
            message, "leave it out; what the first stage begins with is named as `start`"
        )
    found = {
        key: values for key, values in {**from_script(path), **asked}.items() if key not in _OWN
    }
    for key, usual, demand in PLACES.values():
        if values := found.get(key):
            found[key] = values if inside(values[0]) and re.match(demand, values[0]) else [usual]
    if stage == 3 and options.lora_rank:
        found["--lora_r"] = [str(options.lora_rank)]
    if stage == 3 and options.lora_alpha:
        found["--lora_alpha"] = [str(options.lora_alpha)]
    _check(stage, path.name, found)
    return found


def links(found: Arguments) -> dict[str, str]:
    """The base models that a stage loads, and the paths in the checkout at which it does."""
    return {
        name: inside(found[key][0]) or "" for name, (key, _, _) in PLACES.items() if found.get(key)
    }


def lora(found: Arguments) -> tuple[int, int]:
    """Rank and alpha; the code's own defaults are 64 and 16."""
    rank, alpha = (
        found.get(key, [usual])[0] for key, usual in (("--lora_r", "64"), ("--lora_alpha", "16"))
    )
    if not (rank.isdecimal() and alpha.isdecimal()):
        raise UsageError(
            f"--lora_r {rank} --lora_alpha {alpha}: whole numbers are expected",
            "correct the script of stage 3",
        )
    return int(rank), int(alpha)


def paths(stage: int, before: Path | None, out: Path) -> list[str]:
    """The arguments that name what the stage begins with and where it writes."""
    words = ["--output_dir", str(out)]
    for least, name, keys in ((2, INPUT, _OWN[1:2]), (3, OUTPUT, _OWN[2:])):
        there = before is not None and (before / name).is_file()
        if stage >= least and not there:
            message = f"stage {stage} begins with {name}, which is not there"
            raise UsageError(message, "run the stage before, or name its folder as `start`")
        if there:
            words += [word for key in keys for word in (key, f"{before}/{name}")]
    return words


def _check(stage: int, script: str, found: Arguments) -> None:
    def on(key: str, default: bool) -> bool:
        values = found.get(key)
        return (
            default
            if values is None
            else not values or values[0].lower() in ("true", "t", "yes", "y", "1")
        )

    # training_utils.py, ModelArguments
    usual = {"input": True, "output_img": True, "output_vid": False, "output_aud": False}
    tuned = {key for key, default in usual.items() if on(f"--tune_mm_{key}_adapter", default)}
    trained = {key for key in tuned if not on(f"--freeze_mm_{key}_adapter", False)}
    if stage == 1 and trained != {"input"}:
        wanted = "the input projection alone"
    elif stage == 2 and ("input" in trained or not trained):
        wanted = "output projections alone"
    elif stage == 3 and not on("--lora_enable", False):
        wanted = "a LoRA (--lora_enable True)"
    else:
        return
    shown = ", ".join(f"--tune_mm_{key}_adapter" for key in sorted(trained)) or "nothing"
    raise UsageError(
        f"{script}: stage {stage} must train {wanted}, this would train {shown} (one that is not "
        "named is at its default)",
        f"set --tune_mm_..._adapter and --freeze_mm_..._adapter in `arguments` of stage {stage}, "
        "or name another script",
    )


def from_script(path: Path) -> Arguments:
    """The arguments of `train_mem.py` in a shell script, each with its values. Variables that the
    script sets itself, texts and arrays, are put in; nothing is run.

    Raises:
        UsageError: there is no such script, no such command in it, or something that only a shell
            can work out.
    """
    try:
        text = read_text(path).replace("\\\n", " ")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error})", "name the stage's script under `scripts`"
        ) from None
    lines = [
        line
        for line in text.splitlines()
        if "train_mem.py" in line and not line.lstrip().startswith("#")
    ]
    if len(lines) != 1:
        raise UsageError(
            f"{path.name} starts train_mem.py {len(lines)} times; one is expected",
            "name another script",
        )
    variables: Arguments = {}
    for name, array, value in re.findall(r"^(\w+)=(?:\(([^)]*)\)|(.*))$", text, re.M):
        try:
            variables[name] = _expanded(array or value, variables, path)
        except UsageError:
            variables.pop(name, None)
    return _grouped(_expanded(lines[0].partition("train_mem.py")[2], variables, path))


def _grouped(words: Iterable[str]) -> Arguments:
    found: Arguments = {}
    values: list[str] = []
    for word in words:
        if word.startswith("--"):
            values = found[word] = []
        else:
            values.append(word)
    return found


def _expanded(text: str, variables: Mapping[str, list[str]], path: Path) -> list[str]:
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        raise UsageError(
            f"{path.name}: {text.strip()[:60]!r} cannot be read ({error})", "name another script"
        ) from None
    found: list[str] = []
    for word in words:
        if match := re.fullmatch(r"\$\{?(\w+)(?:\[[@*]\])?\}?", word):
            if match[1] not in variables:
                message = f"{path.name} uses ${match[1]}, whose value is not in it"
                raise UsageError(message, "write its value into a copy of the script")
            found += variables[match[1]]
        elif set(word) & set("$`<>|&;"):
            raise UsageError(
                f"{path.name}: {word!r} is for a shell to work out",
                "write its value into a copy of the script",
            )
        else:
            found.append(word)
    return found
