"""hubkit brings the model, the records and the pictures; small batches are more reports, and more
places to stop at."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import EngineCase


def case(folder: Path) -> EngineCase:
    return EngineCase({"batch_size": 2, "threads": 1, "device": "cpu"})
