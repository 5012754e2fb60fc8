"""Facts of published repositories' index files, against what a family makes of config.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True)
class Index:
    """Of a model.safetensors.index.json: how many names `weight_map` has, the beginning of the
    sha256 of them (sorted, a line each), and `metadata.total_size` in bytes, 0 where the file does
    not say it."""

    names: int
    digest: str
    total_size: int = 0

    def check(self, layout: Mapping[str, tuple[int, ...]], bytes_each: int = 2) -> None:
        assert len(layout) == self.names
        own = sha256("\n".join(sorted(layout)).encode()).hexdigest()
        assert own[: len(self.digest)] == self.digest
        size = bytes_each * sum(map(math.prod, layout.values()))
        assert self.total_size in (0, size)
