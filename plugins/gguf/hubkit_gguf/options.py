"""What may stand under `options` of this exporter in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """`type` is the number type of the language model's matrices, `mmproj` that of the vision
    tower's and the projector's. Vectors, positions and the patches' filter stay float32."""

    type: Literal["f16", "bf16", "q8_0"] = "f16"
    mmproj: Literal["f16", "bf16", "q8_0"] = "f16"
