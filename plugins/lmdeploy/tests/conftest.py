"""Two pictures: one tile, and two tiles with a thumbnail."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest


@pytest.fixture(scope="session")
def pictures() -> tuple[Any, Any]:
    from hubkit.quickstart.glyphs import draw

    dice = random.Random(5)
    return draw(3, 56, 56, dice, 0.2).convert("RGB"), draw(8, 130, 60, dice, 0.2).convert("RGB")


@pytest.fixture
def torchvision_operators() -> Any:
    """torchvision built for CUDA cannot be imported with a torch for CPUs unless its operators have
    a schema."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in (
        "nms(Tensor d, Tensor s, float t) -> Tensor",
        "qnms(Tensor d, Tensor s, float t) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):  # torchvision's own are there
            library.define(schema)
    return library
