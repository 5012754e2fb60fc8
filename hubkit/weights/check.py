"""Everything that is wrong with a model folder, whoever made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text
from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import ModelFamily, Problem

from ..files.outside import inside, read_config
from ..hygiene.hostile import is_pickle, redirects
from ..hygiene.local_paths import holds_paths, local_paths
from .adapters.check import adapter_problems, is_adapter
from .adapters.peft import WEIGHTS
from .checkpoint import Checkpoint, inspect
from .companions import INDEX
from .header import BITS
from .merge import layout_problems

ADAPTER = "adapter"
"""The folder of a release that holds the adapter beside the merged model."""

_PICKLED = frozenset({".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle"})
_HIDDEN = frozenset({".git", ".gitattributes", ".gitignore"})
_RESULTS = ".eval_results"  # Hugging Face's place for evaluation results, YAML only
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}


def check(folder: Path, family: ModelFamily) -> tuple[Problem, ...]:
    """All findings about an official-format model folder, the files that a hubkit release adds
    included, or about an adapter folder; empty when it is sound. Only headers of weights are read:
    NaN among them is found by the merge."""
    if is_adapter(folder):
        return check_adapter(folder)
    found, shards = _inspect(folder, family)
    if is_adapter(folder / ADAPTER):
        found += [
            replace(p, where=f"{ADAPTER}/{p.where}")
            for p in (*adapter_problems(folder / ADAPTER), *_json(folder / ADAPTER))
        ]
    return (
        (*found, *_json(folder), *_stray(folder, shards))
        if shards is not None
        else (*found, *_stray(folder, set()))
    )


def check_adapter(folder: Path) -> tuple[Problem, ...]:
    """All findings about a PEFT adapter folder."""
    return (
        *adapter_problems(folder),
        *redirects(folder),
        *_json(folder),
        *_stray(folder, {WEIGHTS}),
    )


def check_base(folder: Path, family: ModelFamily) -> tuple[Problem, ...]:
    """The findings that keep a folder from being merged into and released: those of `check`, but
    for strays and local paths, which a merge leaves behind."""
    return tuple(_inspect(folder, family)[0])


def _inspect(folder: Path, family: ModelFamily) -> tuple[list[Problem], set[str] | None]:
    """Findings on configuration, weights and companions, and the names of the weights files; None
    for these when config.json cannot be judged."""
    try:
        config = read_config(folder)
    except UsageError as error:
        return [Problem("config.json", error.message, error.remedy)], None
    if not family.recognises(config):
        message = f"this is not a {family.name} model in its official layout"
        return [
            Problem("config.json", message, "name the model's own family, or convert it first")
        ], None
    checkpoint, found = inspect(folder)
    if checkpoint is not None:
        with checkpoint:
            found += _weights(checkpoint, family, config)
            shards = set(checkpoint.shards) | {problem.where for problem in found}
    else:
        shards = {"model.safetensors"}
    found += [*_companions(folder, family, config), *redirects(folder)]
    found += _of_family(folder, family, config)
    return found, shards


def _weights(
    checkpoint: Checkpoint, family: ModelFamily, config: Mapping[str, Any]
) -> Iterator[Problem]:
    where = INDEX if checkpoint.index is not None else "model.safetensors"
    try:
        layout = family.layout(config)
    except UsageError as error:
        yield Problem("config.json", error.message, error.remedy)
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
    for path in sorted(folder.glob("*.json")):
        try:
            data = json_text.load(inside(folder, path.name))
        except ValueError as error:
            if path.name not in ("config.json", INDEX):
                yield Problem(path.name, f"not JSON ({error})", "take the file from the base model")
            continue
        except (OSError, UsageError):
            continue
        for key in local_paths(data) if holds_paths(path.name) else ():
            yield Problem(f"{path.name}: {key}", "a path on somebody's machine", "remove the entry")


def _of_family(folder: Path, family: ModelFamily, config: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        return family.check(folder, config)
    except UsageError as error:
        return (Problem("config.json", error.message, error.remedy),)


def _stray(folder: Path, shards: set[str]) -> Iterator[Problem]:
    """Files that must not be published: pickles, unnamed weights, links, caches, hidden files."""
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not _in_cache(folder, name):
            yield Problem(name, "a symbolic link", "replace it by the file, or remove it")
        elif path.name == "__pycache__":
            yield Problem(name, "Python's cache", "remove it")
        elif path.name.startswith(".") and not _holds_results(folder, path):
            yield Problem(name, "a hidden file", "remove it")
        elif path.suffix.lower() in _PICKLED or (path.is_file() and is_pickle(path)):
            yield Problem(
                name,
                "a pickle, which runs code when it is loaded",
                "remove it; publish safetensors",
            )
        elif (
            path.suffix == ".safetensors"
            and name not in shards
            and not name.startswith(f"{ADAPTER}/")
        ):
            yield Problem(
                name,
                "weights that no index names",
                "remove the file, or name its tensors in the index",
            )


def _holds_results(folder: Path, path: Path) -> bool:
    """Whether `path` is the folder's .eval_results, with YAML files and nothing else in it."""
    return (
        path == folder / _RESULTS
        and path.is_dir()
        and all(p.is_file() and p.suffix == ".yaml" for p in path.iterdir())
    )


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.parent == folder and path.name in _HIDDEN:
            continue
        yield path
        if (
            path.is_dir()
            and not path.is_symlink()
            and path.name != "__pycache__"
            and not path.name.startswith(".")
        ):
            yield from _walk_below(path)


def _walk_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if (
            path.is_dir()
            and not path.is_symlink()
            and path.name != "__pycache__"
            and not path.name.startswith(".")
        ):
            yield from _walk_below(path)


def _in_cache(folder: Path, name: str) -> bool:
    """Whether `folder` is a snapshot of a Hugging Face cache, which consists of links."""
    try:
        path = inside(folder, name)
    except UsageError:
        return False
    return path.resolve().parent.name == "blobs"
