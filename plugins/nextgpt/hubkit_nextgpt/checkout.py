"""A view of the user's checkout: a folder of links in which data and base weights are where the
code looks for them.

The code reads fixed relative paths (`../ckpt/pretrained_ckpt/`, `./data/`); the checkout itself is
never changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk import UsageError

from .options import Options

_LEGACY = (".", "NExT-GPT-Lagacy", "NExT-GPT-Legacy")
_CODE = (".py", ".yaml", ".yml", ".json")
_DATA = {
    "data",
    "ckpt",
    "checkpoints",
    "pretrain_ckpt",
    "assets",
    "embed",
    "temp",
    ".git",
    "__pycache__",
}


def root(options: Options) -> Path:
    """The folder of the code that `launcher` means. Raises UsageError when it is not in the
    checkout."""
    if not options.checkout:
        raise UsageError(
            "no checkout of NExT-GPT is named", "set `checkout` to the folder of the git clone"
        )
    top = Path(options.checkout).expanduser().absolute()
    entry = "code/train.py" if options.launcher == "legacy" else "train_mem.py"
    for below in _LEGACY if options.launcher == "legacy" else (".",):
        if (top / below / entry).is_file():
            return top / below
    raise UsageError(
        f"{top} has no {entry}, which the {options.launcher} launcher starts",
        "correct `checkout` or `launcher`",
    )


def digest(folder: Path, stage: int) -> str:
    """sha256 over the code and configuration in `folder`; data and the configuration of other
    stages are left out."""
    whole = hashlib.sha256()
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _DATA)
        for name in sorted(files):
            path = Path(at, name)
            if path.suffix in _CODE and not (
                re.fullmatch(r"stage_\d", path.stem) and path.stem != f"stage_{stage}"
            ):
                name = path.relative_to(folder).as_posix()
                line = f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
                whole.update(line.encode())
    return whole.hexdigest()


def data(options: Options) -> dict[str, Path]:
    """Paths in the checkout to the user's data. Raises UsageError naming all that are not there."""
    links = {path: Path(target).expanduser().absolute() for path, target in options.data.items()}
    if missing := [f"{path}: {target}" for path, target in links.items() if not target.exists()]:
        raise UsageError(
            f"data that is not there: {'; '.join(missing)}", "correct the paths under `data`"
        )
    return links


def view(source: Path, place: Path, own: Mapping[str, Path | str]) -> None:
    """Makes the view of `source` at `place`, anew. `own` maps paths in it to what is linked there,
    or to a file's text.

    Raises:
        UsageError: one of them is inside another.
    """
    for path in own:
        if inner := [other for other in own if other.startswith(f"{path}/")]:
            raise UsageError(
                f"{inner[0]} is inside {path}, which is linked as a whole",
                "name its folders one by one in `data`",
            )
    if place.exists():
        shutil.rmtree(place)
    _overlay(source, place, "", own)


def _overlay(source: Path, place: Path, at: str, own: Mapping[str, Path | str]) -> None:
    """Links in `place` for all in `source`, real folders only on the way to what is `own`."""
    place.mkdir(parents=True)
    here = {path.removeprefix(at).split("/")[0] for path in own if path.startswith(at)}
    names = {path.name for path in source.iterdir()} if source.is_dir() else set()
    for name in sorted(names | here):
        path = f"{at}{name}"
        value = own.get(path)
        if isinstance(value, str):
            (place / name).write_text(value, "utf-8")
        elif value is not None:
            (place / name).symlink_to(value)
        elif name in here:
            _overlay(source / name, place / name, f"{path}/", own)
        else:
            (place / name).symlink_to(source / name)
