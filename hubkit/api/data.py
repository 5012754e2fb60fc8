"""Data: checked, repaired and split, or made by an endpoint."""

from __future__ import annotations

from ..data.generate import Endpoint, Generated, Making, generate
from ..data.preparation import PrepareSettings
from ..data.prepare import PreparedData, prepare

__all__ = [
    "Endpoint",
    "Generated",
    "Making",
    "PrepareSettings",
    "PreparedData",
    "generate",
    "prepare",
]
