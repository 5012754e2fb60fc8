"""Adapters for the tiny official model of the tests, and their merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hubkit.weights.merge import MergeReport, merge
from hubkit.weights.model import Model

Tensors = dict[str, torch.Tensor]


AT = "model.language_model.layers"


def all_weights(folder: Path) -> Tensors:
    return {
        name: tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def merged(base: Path, adapter: Path, out: Path, family: Any, **more: Any) -> MergeReport:
    return merge(Model.of(base, family), adapter, out, **more)


def refused(kind: type[Exception], *words: str, **job: Any) -> None:
    """The merge fails with all of `words` in its message and leaves nothing beside what was
    there."""
    before = sorted(path.name for path in job["out"].parent.iterdir())
    with pytest.raises(kind) as caught:
        merged(**job)
    for word in words:
        assert word in str(caught.value)
    assert "remedy" in str(caught.value)
    assert sorted(path.name for path in job["out"].parent.iterdir()) == before
