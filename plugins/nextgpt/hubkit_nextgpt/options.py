"""What `train.options` may say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hubkit.sdk import UsageError

from .names import OWN

WEIGHTS = ("imagebind", "vicuna", "stable_diffusion", "zeroscope", "audioldm")
"""The third-party models that NExT-GPT is made of."""


@dataclass(frozen=True)
class Options:
    """`checkout` is the folder of NExT-GPT's code (the legacy code may be in it or below it). `launcher` is `legacy`
    (`train.py --stage N`) or `current` (`train_mem.py`, with the arguments of the shell script of each stage). `deepspeed` is the
    program that launches, `include` the GPUs as it takes them (empty: all).

    `start` is a checkpoint to begin with, when stage 1 is not the first. `weights` maps `imagebind`, `vicuna`,
    `stable_diffusion`, `zeroscope` and `audioldm` to their folders (ImageBind: the folder of imagebind_huge.pth); `data` maps
    paths in the checkout (`data/T-X_pair_data/cc3m`) to where the data are. `scripts` maps a stage to its shell script.
    `arguments` are added to each stage's command.

    `vocabulary` is the number of tokens of the base language model. `embeddings` says what of its embeddings training may
    change: the rows that NExT-GPT adds, or all. `lora_rank` and `lora_alpha` are what stage 3 must train with."""

    checkout: str = ""
    launcher: Literal["legacy", "current"] = "legacy"
    stages: tuple[int, ...] = (1, 2, 3)
    deepspeed: str = "deepspeed"
    include: str = ""
    start: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    vocabulary: int = 32000
    embeddings: Literal["new_rows", "all"] = "new_rows"
    lora_rank: int = 32
    lora_alpha: int = 32

    def __post_init__(self) -> None:
        if not self.stages or list(self.stages) != sorted(set(self.stages)) or set(self.stages) - set(OWN):
            raise ValueError(f"stages are 1, 2, 3 in this order, each once, not {list(self.stages)}")
        if unknown := sorted(set(self.weights) - set(WEIGHTS)):
            raise ValueError(f"weights: unknown {', '.join(unknown)} (known: {', '.join(WEIGHTS)})")
        if strange := sorted(path for path in self.data if path.startswith("/") or ".." in Path(path).parts):
            raise ValueError(f"data: {strange[0]!r} is not a path in the checkout")


def check_weights(weights: Mapping[str, str], needed: tuple[str, ...]) -> None:
    """Raises UsageError naming every model in `needed` that has no folder, or none that is there with something in it."""
    missing = []
    for name in needed:
        place = Path(weights.get(name, "")).expanduser()
        if not weights.get(name):
            missing.append(f"{name}: no folder is given")
        elif not place.is_dir() or not any(place.iterdir()):
            missing.append(f"{name}: {place} is not a folder with files")
        elif name == "imagebind" and not any(place.glob("imagebind_huge.pth")) and not any(place.glob("*.safetensors")):
            missing.append(f"{name}: {place} holds no imagebind_huge.pth")
    if missing:
        listed = "".join(f"\n  {one}" for one in missing)
        raise UsageError(
            f"{len(missing)} of the base models are missing:{listed}", "download them, and name each folder under `weights`"
        )
