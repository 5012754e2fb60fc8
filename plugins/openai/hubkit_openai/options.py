"""What may stand under `options` of this engine in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hubkit.sdk import ServerOptions


@dataclass(frozen=True)
class Options(ServerOptions):
    """`url_env` and `key_env` name the environment variables with the API's address and key;
    `models` maps a model folder's name to the server's where they differ.

    `concurrency` is how many records are asked at once, `timeout` the seconds that a request may
    wait for the next byte, `patience` the seconds that all waiting between attempts may take.

    `line_break` says who writes the line break between pictures and text: the server, as most do,
    or the `message`, for servers that join its parts as they are (llama.cpp)."""

    concurrency: int = 4
    timeout: float = 300.0
    patience: float = 120.0
    line_break: Literal["server", "message"] = "server"

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 256:
            raise ValueError(f"concurrency must be from 1 to 256, not {self.concurrency}")
        for name in ("timeout", "patience"):
            if not 0 < getattr(self, name) <= 86400:
                raise ValueError(f"{name} must be above 0 and at most 86400 seconds")
