"""The legacy code: `train.py --stage N`, started in `code/`, which reads `config/base.yaml`,
`config/stage_N.yaml` and `dsconfig/stage_N.json` there, loads `SAVE_PATH/pytorch_model.pt` when
there is one, and overwrites it at its end."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk import UsageError
from hubkit.sdk.files import read_text

from .options import Options

CHECKPOINT = "pytorch_model.pt"
DELTA = "ckpt/delta_ckpt/nextgpt/7b_tiva_v0"
"""Where inference.py looks for its delta, and where scripts/app.sh lets demo_app.py look."""

_PRETRAINED = "ckpt/pretrained_ckpt"
_DIFFUSION = {
    "stable_diffusion": "image_diffusion",
    "zeroscope": "video_diffusion",
    "audioldm": "audio_diffusion",
}
"""Keys of config/base.yaml."""
_FREEZE: Mapping[str, tuple[int, ...]] = {
    "freeze_lm": (1, 2),
    "freeze_input_proj": (2,),
    "freeze_output_proj": (1,),
}
"""Keys of config/stage_N.yaml and the stages in which they must be true."""


def lora(root: Path, options: Options) -> tuple[int, int]:
    """Rank and alpha of stage 3."""
    text = _read(root, 3)
    found = {key: _value(text, key, "0") for key in ("lora_r", "lora_alpha")}
    if not all(value.isdecimal() for value in found.values()):
        raise UsageError(
            "config/stage_3.yaml: lora_r and lora_alpha must be whole numbers",
            "correct the checkout",
        )
    return options.lora_rank or int(found["lora_r"]), options.lora_alpha or int(found["lora_alpha"])


def own(root: Path, options: Options, stage: int = 0) -> dict[str, Path | str]:
    """What the view has in place of the checkout's: base weights, and the configuration that names
    them. Stage 0 is the demo, which also loads the diffusion models."""
    path = root / "code/config/base.yaml"
    text = read_text(path) if path.is_file() else ""
    places = {
        "imagebind": f"{_PRETRAINED}/imagebind_ckpt/{_value(text, 'imagebind_version', 'huge')}",
        "vicuna": f"{_PRETRAINED}/vicuna_ckpt/{_value(text, 'vicuna_version', '7b_v0')}",
    }
    text = _with(text, "pretrained_ckpt_path", f"../{_PRETRAINED}/")
    for name, key in _DIFFUSION.items():
        if not stage and name in options.weights:
            text = _with(text, key, str(options.folder(name)))
    found: dict[str, Path | str] = {"code/config/base.yaml": text}
    found |= {
        place: options.folder(name) for name, place in places.items() if name in options.weights
    }
    if stage in (0, 3) and (options.lora_rank or options.lora_alpha):
        rank, alpha = lora(root, options)
        found["code/config/stage_3.yaml"] = _with(
            _with(_read(root, 3), "lora_r", rank), "lora_alpha", alpha
        )
    return found


def check(stage: int, root: Path) -> None:
    """Raises UsageError when the stage's configuration freezes something else than the stage is
    for, or the code is of the time when stage 3 did not load the embeddings of the stages before.
    """
    text = _read(root, stage)
    for key, stages in _FREEZE.items():
        found, wanted = _value(text, key, "false").lower() in ("true", "yes", "on"), stage in stages
        if found != wanted:
            said = f"config/stage_{stage}.yaml: {key} is {str(found).lower()}"
            raise UsageError(
                f"{said}, stage {stage} is for {str(wanted).lower()}",
                "correct the checkout's configuration",
            )
    agent = root / "code/model/agent.py"
    # github.com/NExT-GPT/NExT-GPT/issues/40
    if stage == 3 and agent.is_file() and "base_model" not in agent.read_text("utf-8", "replace"):
        message = (
            "this checkout's stage 3 drops the embeddings that stages 1 and 2 trained "
            "(model/agent.py, load_parameters)"
        )
        raise UsageError(message, "update the checkout to October 2023 or later")


def arguments(stage: int, out: Path) -> list[str]:
    return [
        "--model",
        "nextgpt",
        "--stage",
        str(stage),
        "--save_path",
        str(out),
        "--log_path",
        str(out / "log"),
    ]


def _read(root: Path, stage: int) -> str:
    path = root / f"code/config/stage_{stage}.yaml"
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: {reason}", "use a whole checkout of NExT-GPT") from None


def _value(text: str, key: str, usual: str) -> str:
    match = re.search(rf"^{key}:[ \t]*['\"]?([\w.-]+)", text, re.M)
    return match[1] if match else usual


def _with(text: str, key: str, value: str | int) -> str:
    """The YAML with a top-level key set. JSON's scalars are YAML's."""
    rest = [line for line in text.splitlines() if not re.match(rf"{key}\s*:", line)]
    return "\n".join([*rest, f"{key}: {json.dumps(value)}", ""])
