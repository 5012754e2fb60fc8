import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hubkit.packaging import lfs, manifest
from hubkit.packaging.lfs import StagedCommit
from hubkit.packaging.manifest import Manifest

AUTHOR = {"author_name": "Ada Lovelace", "author_email": "ada@example.org"}
DATE = "2026-01-02T03:04:05+00:00"


def _fill(folder: Path, *, seed: int = 0, readme: str = "# A model\n") -> Path:
    """Weights, a file above 10 MiB with glob characters in its name, small files in two levels."""
    (folder / "code dir").mkdir(parents=True)
    values = np.random.default_rng(seed).standard_normal((64, 32)).astype(np.float32)
    save_file({"a.weight": values}, folder / "model.safetensors")
    (folder / "README.md").write_text(readme)
    (folder / "code dir" / "modeling.py").write_text("class Model: ...\n")
    (folder / "code dir.txt").write_text("sorts before the folder\n")
    (folder / "code dir0-é.txt").write_text("and this one after it\n")
    (folder / "big [v1] tokens.json").write_bytes(b'"' + b"x" * (11 << 20) + b'"')
    return folder


@pytest.fixture
def git() -> Callable[..., str]:
    """Runs git in a folder, with the configuration of whoever runs the tests, and returns its
    output."""

    def run(folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def listed() -> Callable[..., Manifest]:
    """Writes .gitattributes and manifest.json into a folder."""

    def write(folder: Path, *, tag: str = "v1.0.0") -> Manifest:
        manifest.write_gitattributes(folder)
        found = manifest.build(
            folder, name="InternVL2-Tiny", tag=tag, created="2026-01-02", digests={}
        )
        found.write(folder)
        return found

    return write


@pytest.fixture
def release(
    tmp_path: Path, listed: Callable[..., Manifest]
) -> Callable[..., tuple[Path, Manifest]]:
    """Makes tmp_path/NAME with its manifest; keyword arguments go to `_fill`."""

    def make(name: str = "release", **keywords: Any) -> tuple[Path, Manifest]:
        folder = _fill(tmp_path / name, **keywords)
        return folder, listed(folder)

    return make


@pytest.fixture
def stage() -> Callable[..., StagedCommit]:
    def run(folder: Path, found: Manifest, **keywords: Any) -> StagedCommit:
        message = f"{found.name} {found.tag}\n\nA body.\n"
        return lfs.stage(
            folder,
            found,
            **{"message": message, "date": DATE, "tag": found.tag, **AUTHOR, **keywords},
        )

    return run
