"""What may stand under `options` of this exporter in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .quantizer import K_TYPES


@dataclass(frozen=True)
class Options:
    """`type` is the number type of the language model's matrices, `mmproj` that of the vision
    tower's and the projector's. Vectors, positions and the patches' filter stay float32. q6_k and
    q4_k_m are written by the program `quantizer`, the path of llama.cpp's llama-quantize (or a name
    that PATH finds), and its file is read back."""

    type: Literal["f16", "bf16", "q8_0", "q6_k", "q4_k_m"] = "f16"
    mmproj: Literal["f16", "bf16", "q8_0"] = "f16"
    quantizer: str = ""

    def __post_init__(self) -> None:
        if self.type in K_TYPES and not self.quantizer:
            raise ValueError(f"type {self.type} needs quantizer, the path of llama-quantize")
        if self.quantizer and self.type not in K_TYPES:
            raise ValueError(f"quantizer is for types {' and '.join(K_TYPES)}, not {self.type}")

    @property
    def written(self) -> str:
        """The type in which this exporter itself writes; what a quantiser starts from is bfloat16,
        which holds every number of published weights."""
        return "bf16" if self.quantizer else self.type
