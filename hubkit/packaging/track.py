"""A model folder becomes a release: judged, listed in a manifest, committed with Git LFS."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import RefusedError
from ..files.tree import walk
from ..sdk import Problem
from ..weights.check import check
from ..weights.model import Model
from . import lfs, manifest
from .configuration import write_configuration
from .manifest import Manifest
from .written_card import card_problems

LINKED = (".safetensors", ".gguf")
"""Weights: they have no second copy on the disk."""


@dataclass(frozen=True)
class Packaged:
    """`commit` holds `files` files of `size` bytes in all; `in_lfs` of them are in Git LFS.
    `variants` has the commits of those that are repositories of their own."""

    name: str
    tag: str
    commit: str
    files: int
    size: int
    in_lfs: int
    variants: Mapping[str, str] = field(default_factory=dict)


def track_release(
    folder: Path,
    model: Model,
    *,
    name: str,
    tag: str,
    created: str,
    author_name: str,
    author_email: str,
    digests: Mapping[str, str],
) -> tuple[Packaged, Manifest]:
    """Makes `folder` a release: checked, with .gitattributes and manifest.json, and committed with
    LFS pointers.

    `folder` holds `model`, or an adapter for it. `digests` are the sha256 known already; only other
    files are read.

    Raises:
        RefusedError: the repository name or the check says no; every finding is listed.
    """
    if problem := model.family.repository_problem(name):
        raise RefusedError(f"repository name {name!r}: {problem}", "choose another name")
    problems = [*check(folder, model.family, author_email), *card_problems(folder)]
    refuse(problems, f"{name} cannot be published as it is")
    _refuse_snapshot(folder, name)
    write_configuration(folder, model.family.card(model.config).pipeline_tag)
    manifest.write_gitattributes(folder)
    listed = manifest.build(folder, name=name, tag=tag, created=created, digests=digests)
    listed.write(folder)
    staged = lfs.stage(
        folder,
        listed,
        message=f"{name} {tag}",
        author_name=author_name,
        author_email=author_email,
        date=created,
        tag=tag,
    )
    size, in_lfs = sum(file.size for file in listed.files), sum(file.lfs for file in listed.files)
    return Packaged(name, tag, staged.commit, len(listed.files) + 1, size, in_lfs), listed


def _refuse_snapshot(folder: Path, name: str) -> None:
    """The links that the check lets pass are those of a snapshot in a Hugging Face cache."""
    if any(entry.is_symlink() for _, entry in walk(folder)):
        raise RefusedError(
            f"{folder} is a snapshot in a Hugging Face cache, which consists of links",
            f"track a copy of it: `cp -rL {shlex.quote(str(folder))} {name}`",
        )


def refuse(problems: Sequence[Problem], what: str) -> None:
    """Raises RefusedError listing every problem with its remedy; nothing when there is none."""
    if problems:
        listed = "".join(f"\n  {p.where}: {p.message} ({p.remedy})" for p in problems)
        raise RefusedError(
            f"{what}: {len(problems)} problem(s):{listed}",
            "fix the problems listed above and run the command again",
        )


def link_model(model: Path, folder: Path) -> None:
    """The model's files in `folder`: weights as hard links (no second copy on disk), the small ones
    copied."""
    folder.mkdir(parents=True)
    for source in sorted(model.iterdir()):
        target = folder / source.name
        if source.name.endswith(LINKED):
            try:
                os.link(source, target)
                continue
            except OSError:
                pass  # another file system, or one without hard links
        shutil.copyfile(source, target)
