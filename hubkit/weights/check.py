"""Everything that is wrong with a model folder, whoever made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text
from hubkit.sdk.checkpoints import compressed
from hubkit.sdk.checkpoints.compressed import is_compressed
from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import ModelFamily, Problem

from ..files.outside import inside, read_config
from ..files.pointers import is_pointer, pointers
from ..files.tree import walk
from ..hygiene.audit import audit, pointer_problem
from ..hygiene.names import outside_release
from ..hygiene.redirects import redirects
from ..hygiene.search import search
from .adapters.names import SETTINGS, WEIGHTS
from .checkpoint import Checkpoint, inspect
from .companions import INDEX, companion_names
from .copies import with_copies
from .diagnosis import diagnosis, layout_problems
from .gguf import gguf_problems, is_gguf
from .header import BITS
from .model import is_adapter
from .spelling import as_published, as_written

ADAPTER = "adapter"
"""The folder of a release that holds the adapter beside the merged model."""

_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}


def check(folder: Path, family: ModelFamily, author_email: str = "") -> tuple[Problem, ...]:
    """All findings about an official-format model folder, the files that a hubkit release adds
    included, or about an adapter folder; empty when it is sound and may be published.

    Only headers of weights are read: NaN among them is found by the merge. `author_email` is the
    one address that texts may hold.
    """
    return _with_audit(structure(folder, family), folder, author_email)


def check_adapter(folder: Path, author_email: str = "") -> tuple[Problem, ...]:
    """All findings about a PEFT adapter folder."""
    return _with_audit(adapter_structure(folder), folder, author_email)


def _with_audit(own: tuple[Problem, ...], folder: Path, author_email: str) -> tuple[Problem, ...]:
    """The findings of what knows models and adapters, then the audit's on other files and keys: of
    weights beside an adapter, say, the audit knows only that they are a pickle."""
    told = {problem.where for problem in own}
    return (*own, *(p for p in audit(folder, author_email) if p.where not in told))


def structure(folder: Path, family: ModelFamily) -> tuple[Problem, ...]:
    """The findings on how the parts of a model or adapter folder fit together. A file that is a Git
    LFS pointer is not among them: `audit` names it."""
    if is_adapter(folder):
        return adapter_structure(folder)
    if is_gguf(folder):
        found = [*gguf_problems(folder), *_json(folder), *_stray_weights(folder, set())]
        return _without_pointers(folder, found)
    found, named = _inspect(folder, family)
    told = {problem.where for problem in found}
    found += [problem for problem in _json(folder) if problem.where not in told]
    if is_adapter(folder / ADAPTER):
        inner = adapter_structure(folder / ADAPTER)
        found += [replace(problem, where=f"{ADAPTER}/{problem.where}") for problem in inner]
    found += _stray_weights(folder, named)
    return _without_pointers(folder, found)


def check_base(folder: Path, family: ModelFamily, author_email: str = "") -> tuple[Problem, ...]:
    """The findings that keep a folder from being merged into and released: those of `check`, but
    for what a merge leaves behind, which are strays and entries of JSON that are local paths."""
    found, _ = _inspect(folder, family)
    carried: list[Problem] = [pointer_problem(folder, name) for name in pointers(folder)]
    for name in _carried(folder, family):
        if not is_pointer(folder / name):
            carried += redirects(folder / name, name)
            carried += search(folder / name, name, author_email, carried=True)
    return (*_without_pointers(folder, found), *carried)


def _carried(folder: Path, family: ModelFamily) -> list[str]:
    try:
        return companion_names(folder, family, read_config(folder))
    except UsageError:
        return []  # _inspect has told it


def adapter_structure(folder: Path) -> tuple[Problem, ...]:
    """The same for an adapter folder."""
    from .adapters.check import adapter_problems

    found = list(adapter_problems(folder))
    told = {problem.where for problem in found}
    general = [*_json(folder), *_stray_weights(folder, {WEIGHTS})]
    found += [problem for problem in general if problem.where not in told]
    return _without_pointers(folder, found)


def _without_pointers(folder: Path, found: Iterable[Problem]) -> tuple[Problem, ...]:
    absent = set(pointers(folder))
    return tuple(p for p in found if p.where.partition(": ")[0] not in absent)


def _inspect(folder: Path, family: ModelFamily) -> tuple[list[Problem], set[str]]:
    """Findings on configuration, weights and companions, and the names of the weights files."""
    named = {path.name for path in folder.glob("*.safetensors")}
    try:
        config = read_config(folder)
    except UsageError as error:
        return [Problem("config.json", error.message, error.remedy)], named
    if not family.recognises(config):
        message = f"this is not a {family.name} model in its official layout"
        return [
            Problem("config.json", message, "name the model's own family, or convert it first")
        ], named
    checkpoint, found = inspect(folder)
    named = {"model.safetensors", *(problem.where for problem in found)}
    if checkpoint is not None:
        with checkpoint:
            named |= set(checkpoint.shards)
            if all(p.where in checkpoint.shards for p in found if p.where != INDEX):
                found += _weights(checkpoint, family, config)
    told = {problem.message for problem in found}
    found += _companions(folder, family, config)
    if all(name.endswith(".safetensors") for name in pointers(folder)):
        found += [p for p in _of_family(folder, family, config) if p.message not in told]
    return found, named


def _weights(
    checkpoint: Checkpoint, family: ModelFamily, config: Mapping[str, Any]
) -> Iterator[Problem]:
    where = INDEX if checkpoint.index is not None else "model.safetensors"
    try:
        layout = family.layout(config)
    except UsageError as error:
        yield Problem("config.json", error.message, error.remedy)
        return
    if is_compressed(config):
        written = as_written(layout, checkpoint, family)
        for name, message in compressed.problems(config, written, checkpoint.tensors):
            yield Problem(where, f"tensor {name} {message}", "export the model again")
        return
    checkpoint = as_published(checkpoint, family, layout)
    layout = with_copies(checkpoint, family, config, layout)
    if found := diagnosis(checkpoint, family, config, layout):
        yield found
        return
    for message in layout_problems(checkpoint, layout):
        yield Problem(
            where, f"tensor {message}", "take config.json and the weights from the same revision"
        )
    yield from _dtypes(checkpoint, config, where)
    if checkpoint.index is not None:
        metadata = checkpoint.index.get("metadata")
        stated = metadata.get("total_size") if isinstance(metadata, dict) else None
        if stated != checkpoint.total_size:
            message = (
                f"metadata.total_size is {stated}, the tensors take {checkpoint.total_size} bytes"
            )
            yield Problem(INDEX, message, f"set it to {checkpoint.total_size}")


def _dtypes(checkpoint: Checkpoint, config: Mapping[str, Any], where: str) -> Iterator[Problem]:
    stated = config.get("torch_dtype", config.get("dtype"))
    counts = Counter(info.dtype for info in checkpoint.tensors.values())
    for dtype in sorted(counts, key=list(BITS).index):
        example = next(info.name for info in checkpoint.tensors.values() if info.dtype == dtype)
        if dtype not in _DTYPES:
            message = f"{counts[dtype]} tensors are {dtype}, {example!r} among them"
            yield Problem(where, message, "publish unquantised weights in this layout")
        elif stated is not None and _DTYPES[dtype] != stated:
            message = (
                f"{counts[dtype]} tensors are {_DTYPES[dtype]}, {example!r} among them; "
                f"config.json says {stated}"
            )
            yield Problem(where, message, "set torch_dtype to the weights' own dtype")


def _companions(folder: Path, family: ModelFamily, config: Mapping[str, Any]) -> Iterator[Problem]:
    wanted = family.companions(config)
    for need in wanted.required:
        if not any((folder / name).is_file() for name in need.split("|")):
            yield Problem(
                need.replace("|", " or "),
                "a companion file is missing",
                "copy it from the base model",
            )
    for name in (name for need in (*wanted.required, *wanted.optional) for name in need.split("|")):
        try:
            inside(folder, name)
        except UsageError as error:
            yield Problem(name, error.message, error.remedy)


def _json(folder: Path) -> Iterator[Problem]:
    """Findings on files of JSON that nothing else reads here."""
    for path in sorted(folder.glob("*.json")):
        if path.name in ("config.json", SETTINGS, INDEX):
            continue
        try:
            json_text.load(inside(folder, path.name))
        except ValueError as error:
            yield Problem(path.name, f"not JSON ({error})", "take the file from the base model")
        except (OSError, UsageError):
            continue


def _of_family(folder: Path, family: ModelFamily, config: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        return family.check(folder, config)
    except UsageError as error:
        return (Problem("config.json", error.message, error.remedy),)


def _stray_weights(folder: Path, named: set[str]) -> Iterator[Problem]:
    inner = f"{ADAPTER}/" if is_adapter(folder / ADAPTER) else None
    for name, _ in walk(folder):
        below = inner is not None and name.startswith(inner)
        if not name.endswith(".safetensors") or name in named or below or outside_release(name):
            continue
        yield Problem(
            name,
            "weights that no index names",
            "remove the file, or name its tensors in the index",
        )
