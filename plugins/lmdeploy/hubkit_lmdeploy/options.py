"""What may stand under `options` of this engine in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """`backend` auto is TurboMind where the model's attention heads allow it, else the PyTorch
    engine. `batch_size` is in records; `cache_share` is the share of the GPU memory left after
    loading that is reserved for keys and values, `tp` the number of GPUs. `chat_template` forces
    one of LMDeploy's templates by name; without it LMDeploy chooses as it does for everybody.
    `session_length` 0 is the model's own.

    `allow_remote_code` runs the Python files of the model folder in the worker, as
    `trust_remote_code` does for everybody. Without it none is run: InternVL's configuration classes
    are this plugin's own, and the tokenizer must be a tokenizer.json.
    """

    backend: Literal["auto", "turbomind", "pytorch"] = "auto"
    dtype: Literal["auto", "bfloat16", "float16"] = "auto"
    batch_size: int = 16
    cache_share: float = 0.5
    tp: int = 1
    session_length: int = 0
    chat_template: str = ""
    allow_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if not 0 < self.cache_share < 1:
            raise ValueError(f"cache_share must be between 0 and 1, not {self.cache_share}")
        if self.tp < 1:
            raise ValueError(f"tp must be at least 1, not {self.tp}")
        if self.session_length < 0:
            raise ValueError(f"session_length must be at least 0, not {self.session_length}")
