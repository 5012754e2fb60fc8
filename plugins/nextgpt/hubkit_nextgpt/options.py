"""What `train.options` may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hubkit.sdk import UsageError

from .names import OWN

WEIGHTS: Mapping[str, str] = {
    "imagebind": "imagebind_huge.pth",
    "vicuna": "config.json",
    "stable_diffusion": "model_index.json",
    "zeroscope": "model_index.json",
    "audioldm": "model_index.json",
}
"""The third-party models that NExT-GPT is made of, and a file that the folder of each has."""


@dataclass(frozen=True)
class Options:
    """`checkout` is the folder of NExT-GPT's code (the legacy code may be in it or below it).
    `launcher` is `legacy` (`train.py --stage N` in `code/`) or `current` (`train_mem.py`, with the
    arguments of the shell script of each stage). `deepspeed` is the program that launches,
    `include` the GPUs as it takes them (empty: all; the legacy dsconfig/ is written for two).

    `start` is what the stage before wrote, when stage 1 is not the first. `weights` maps
    `imagebind`, `vicuna`, `stable_diffusion`, `zeroscope` and `audioldm` to their folders; those
    that a stage loads must be there. `data` maps paths in the checkout to where the data are: for
    the legacy code `data/T-X_pair_data/cc3m`, `data/embed` (the embeddings of stage 2) and
    `code/embed` (of stage 3), for the current code `data/T_X_pair_data/cc3m`, `data/embed` and
    `data/it/embed`.

    `scripts` maps a stage to its shell script, `arguments` to what is added to its command and wins
    over the script: `{"2": ["--tune_mm_output_img_adapter", "True"]}`. `lora_rank` and `lora_alpha`
    of stage 3 replace what the checkout says (0: as it says).

    `embeddings` says what training may change of them: all, as NExT-GPT's code does, or only the
    rows from `vocabulary` on, which is the number of tokens of the base language model."""

    checkout: str = ""
    launcher: Literal["legacy", "current"] = "legacy"
    stages: tuple[int, ...] = (1, 2, 3)
    deepspeed: str = "deepspeed"
    include: str = ""
    start: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vocabulary: int = 32000
    embeddings: Literal["all", "new_rows"] = "all"
    lora_rank: int = 0
    lora_alpha: int = 0

    def __post_init__(self) -> None:
        if (
            not self.stages
            or list(self.stages) != sorted(set(self.stages))
            or set(self.stages) - set(OWN)
        ):
            raise ValueError(
                f"stages are 1, 2, 3 in this order, each once, not {list(self.stages)}"
            )
        if self.stages[0] > 1 and not self.start:
            raise ValueError(
                f"stage {self.stages[0]} begins with what the stage before wrote: name it as "
                "`start`"
            )
        if unknown := sorted({*self.scripts, *self.arguments} - {str(stage) for stage in OWN}):
            raise ValueError(f"scripts and arguments are of stages 1, 2, 3, not of {unknown[0]!r}")
        if unknown := sorted(set(self.weights) - set(WEIGHTS)):
            raise ValueError(f"weights: unknown {', '.join(unknown)} (known: {', '.join(WEIGHTS)})")
        if strange := sorted(path for path in self.data if inside(path) != path):
            raise ValueError(f"data: {strange[0]!r} is not a path in the checkout")
        if min(self.lora_rank, self.lora_alpha) < 0:
            raise ValueError("lora_rank and lora_alpha cannot be negative")

    def folder(self, name: str) -> Path:
        """Of a base model."""
        return Path(self.weights[name]).expanduser().absolute()


def inside(path: str) -> str | None:
    """`path` without `./` and the like; None when it leaves the folder that it is relative to."""
    plain = Path(path)
    return (
        None if not plain.parts or plain.is_absolute() or ".." in plain.parts else plain.as_posix()
    )


def check_weights(options: Options, needed: Iterable[str]) -> None:
    """Raises UsageError naming every model in `needed` that has no folder, or one without its
    weights."""
    missing = []
    for name in needed:
        if not options.weights.get(name):
            missing.append(f"{name}: no folder is given")
        elif not (options.folder(name) / WEIGHTS[name]).is_file():
            missing.append(f"{name}: {options.folder(name)} holds no {WEIGHTS[name]}")
    if missing:
        listed = "".join(f"\n  {one}" for one in missing)
        raise UsageError(
            f"{len(missing)} of the base models are missing:{listed}",
            "download them, and name each folder under `weights`",
        )
