"""The first release file: the commented template, or one written from base, data and adapter."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..data.recognise import recognise as find_data
from ..errors import RefusedError, UsageError
from ..pipeline.draft import Draft, base_name, find_adapter, parse_author, unlicensed
from ..pipeline.preflight import obstacles
from ..pipeline.requirements import check_card
from ..pipeline.run import NAMES
from ..pipeline.spec.file import load
from ..pipeline.stage import Context
from ..pipeline.workspace import Workspace
from ..publishing.publish import check_distinct, check_names
from ..reporting import Reporter, SilentReporter
from ..resources import templates
from ..sdk.gitcli import GitFailed, clean_environment, run_git
from ..weights.model import open_model as find_base

__all__ = [
    "Draft",
    "base_name",
    "checked",
    "find_adapter",
    "find_base",
    "find_data",
    "git_author",
    "init",
    "new_file",
    "parse_author",
    "unlicensed",
    "write",
]

Folder = str | Path
_LOCAL = NAMES[: NAMES.index("publish")]
"""Stages whose needs are checked without asking a hub."""


def init(
    path: Folder = "release.yaml",
    *,
    base: Folder | None = None,
    data: Folder | None = None,
    images: Folder | None = None,
    adapter: Folder | None = None,
    to: Sequence[str] = (),
    name: str = "",
    author: str = "",
    license: str = "",
    reporter: Reporter | None = None,
) -> Path:
    """Writes a release file to the new file `path`: from `base` and `data`, one that needs no edit;
    without them, a commented template.

    Args:
        images: the folder that the data's image paths are relative to, where it is not near them.
        adapter: one that was trained before; without it, the release trains one.
        to: `SCHEME:TARGET` places; without one, a git repository beside the file.
        name: the release's; by default that of the first place.
        author: `Name <e-mail>`; by default git's.
        license: the base's, where its folder does not state it.

    Raises:
        UsageError: `path` is there already, or something is missing or not what it should be.
        WeightsError: the adapter does not fit the base.
        RefusedError: the base's family does not allow the name.
    """
    target = new_file(path)
    if base is None and data is None:
        return _write(target, (templates("release") / "release.yaml").read_text("utf-8"))
    who = author or git_author()
    asked = {"base": base, "data": data, "author": who}
    if missing := [f"--{what}" for what, value in asked.items() if not value]:
        raise UsageError(f"missing: {', '.join(missing)}", "see `hubkit init --help`")
    model = find_base(Path(str(base)))
    if not license and (why := unlicensed(model)):
        raise UsageError(why, "give the licence of the base model, for example --license mit")
    draft = Draft(
        base=model,
        data=find_data(Path(str(data)), Path(images) if images else None),
        author=parse_author(who),
        adapter=find_adapter(Path(adapter), model) if adapter else None,
        to=tuple(to),
        name=name,
        license=license,
    )
    return write(draft, target, reporter)


def checked(draft: Draft) -> Draft:
    """Raises UsageError or RefusedError for places and names that cannot be."""
    _context(draft, Path("release.yaml"))
    return draft


def write(draft: Draft, path: Path, reporter: Reporter | None = None) -> Path:
    """Writes the file and notes what else is in the way of the release. Raises as `init`."""
    context = _context(draft, path)
    _write(path, draft.text(path))
    run = reporter or SilentReporter()
    for error in obstacles(context, _LOCAL):
        run.note(f"still in the way: {error.message} ({error.remedy})")
    return path


def _context(draft: Draft, path: Path) -> Context:
    """The release as its file will say it; the file itself is not written yet."""
    with tempfile.TemporaryDirectory(prefix="hubkit-init-") as folder:
        trial = Path(folder) / path.name
        trial.write_text(draft.text(trial), "utf-8")
        spec = load(trial)
    context = Context(spec, Workspace(path.absolute().parent, spec.name), SilentReporter())
    places = [target.to for target in spec.publish]
    check_distinct(places)
    try:
        check_names(draft.base.family, spec.name, places)
    except RefusedError as error:
        raise RefusedError(error.message, "give another name, with --name and in --to") from None
    check_card(context)
    return context


def new_file(path: Folder) -> Path:
    """Raises UsageError when the file is there already, or its folder is not."""
    target = Path(path)
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} exists", "give another path, or remove it first")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}", "make it first")
    return target


def git_author() -> str:
    """`Name <e-mail>` as git is configured; empty where it lacks one of them."""
    found = []
    with suppress(GitFailed, OSError):
        for key in ("user.name", "user.email"):
            asked = run_git(
                ["config", "--get", key], cwd=Path.cwd(), environment=clean_environment()
            )
            found.append(asked.strip())
    return f"{found[0]} <{found[1]}>" if len(found) == 2 and all(found) else ""


def _write(path: Path, text: str) -> Path:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path
