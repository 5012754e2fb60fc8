"""Tensors that some versions of transformers write under other names than the published ones."""

from __future__ import annotations

from collections.abc import Container, Mapping

from hubkit.sdk.family import ModelFamily

from .checkpoint import Checkpoint


def as_published(weights: Checkpoint, family: ModelFamily, layout: Container[str]) -> Checkpoint:
    """`weights` under the names of `layout`, where the family knows the other spelling."""
    known = getattr(family, "spellings", ())
    names = {}
    for name in weights.tensors:
        for published, other in known:
            new = published + name.removeprefix(other)
            if name not in layout and name.startswith(other) and new in layout:
                names[name] = new
    clash = any(new in weights.tensors for new in names.values())
    return weights.called(names) if names and not clash else weights


def as_written(
    layout: Mapping[str, tuple[int, ...]], weights: Checkpoint, family: ModelFamily
) -> dict[str, tuple[int, ...]]:
    """`layout` under the spelling of `weights`, whose tensors may be parts of those of the
    layout."""
    modules = {name.rpartition(".")[0] for name in weights.tensors}
    known = getattr(family, "spellings", ())

    def spelled(name: str) -> str:
        for published, other in known:
            new: str = other + name.removeprefix(published)
            if name.startswith(published) and new.rpartition(".")[0] in modules:
                return new
        return name

    return {spelled(name): shape for name, shape in layout.items()}
