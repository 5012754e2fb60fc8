"""hubkit brings the model."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import ExporterCase


def case(folder: Path) -> ExporterCase:
    return ExporterCase({"scheme": "fp8", "threads": 1})
