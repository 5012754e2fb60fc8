"""The locked environments of trainers and engines: list, lock, build, check, remove."""

from __future__ import annotations

from ..environments import Environment, EnvironmentLike
from ..environments.manage import Row, build, check, lock, remove, rows

__all__ = ["Environment", "EnvironmentLike", "Row", "build", "check", "lock", "remove", "rows"]
