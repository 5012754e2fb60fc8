"""A view of the user's checkout: a folder of links in which data and base weights are where the code looks for them.

The code reads fixed relative paths (`../ckpt/pretrained_ckpt/`, `./data/`); the checkout itself is never changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk import UsageError

from .options import Options

_LEGACY = (".", "NExT-GPT-Lagacy", "NExT-GPT-Legacy")
_CODE = (".py", ".yaml", ".yml", ".json", ".sh")
_FOLDERS = {
    "legacy": {
        "imagebind": "ckpt/pretrained_ckpt/imagebind_ckpt/{imagebind_version}",
        "vicuna": "ckpt/pretrained_ckpt/vicuna_ckpt/{vicuna_version}",
    },
    "current": {},
}
_DIFFUSION = {"stable_diffusion": "image_diffusion", "zeroscope": "video_diffusion", "audioldm": "audio_diffusion"}
"""Keys of the legacy config/base.yaml."""


def root(options: Options) -> Path:
    """The folder of the code that `launcher` means. Raises UsageError when it is not in the checkout."""
    if not options.checkout:
        raise UsageError("no checkout of NExT-GPT is named", "set `checkout` to the folder of the git clone")
    top = Path(options.checkout).expanduser().absolute()
    entry = "code/train.py" if options.launcher == "legacy" else "train_mem.py"
    for below in _LEGACY if options.launcher == "legacy" else (".",):
        if (top / below / entry).is_file():
            return top / below
    raise UsageError(f"{top} has no {entry}, which the {options.launcher} launcher starts", "correct `checkout` or `launcher`")


def digest(folder: Path) -> str:
    """sha256 over the code and configuration in `folder`, data left out."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in _CODE and path.is_file() and not {"data", "ckpt", "checkpoints", ".git"} & set(parts[:-1]):
            whole.update(f"{'/'.join(parts)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def view(options: Options, place: Path) -> Path:
    """Makes the view at `place`, anew, and returns the folder to start the training in."""
    source = root(options)
    if place.exists():
        shutil.rmtree(place)
    links = {path: Path(target).expanduser().absolute() for path, target in options.data.items()}
    if missing := [f"{path}: {target}" for path, target in links.items() if not target.exists()]:
        raise UsageError(f"data that is not there: {'; '.join(missing)}", "correct the paths under `data`")
    texts: dict[str, str] = {}
    if options.launcher == "legacy":
        base = source / "code/config/base.yaml"
        text = base.read_text("utf-8") if base.is_file() else ""
        versions = {key: _value(text, key, usual) for key, usual in (("imagebind_version", "huge"), ("vicuna_version", "7b_v0"))}
        for name, below in _FOLDERS["legacy"].items():
            if name in options.weights:
                links[below.format(**versions)] = Path(options.weights[name]).expanduser().absolute()
        texts["code/config/base.yaml"] = _with_diffusion(text, options.weights)
    _overlay(source, place, "", {**links, **{path: text for path, text in texts.items() if text}})
    return place / "code" if options.launcher == "legacy" else place


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


def _value(text: str, key: str, usual: str) -> str:
    match = re.search(rf"^{key}:\s*([\w.-]+)", text, re.M)
    return match[1] if match else usual


def _with_diffusion(text: str, weights: Mapping[str, str]) -> str:
    for name, key in _DIFFUSION.items():
        if name in weights:
            line = f"{key}: {json.dumps(str(Path(weights[name]).expanduser().absolute()))}"
            text = "\n".join(line if old.startswith(f"{key}:") else old for old in text.split("\n"))
    return text
