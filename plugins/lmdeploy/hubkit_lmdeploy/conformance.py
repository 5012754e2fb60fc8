"""hubkit brings the model, the records and the pictures. The model is too small for TurboMind,
whose heads are of 128."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import EngineCase


def case(folder: Path) -> EngineCase:
    return EngineCase(
        {"backend": "pytorch", "batch_size": 2, "cache_share": 0.1, "session_length": 2048}
    )
