"""Small staged releases for the tests of hubs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from hubkit.packaging import lfs, manifest
from hubkit.sdk import PublishInput, SilentRun

CARD = "---\nlicense: mit\nlanguage: [en]\n---\n# InternVL2-Tiny {tag}\n\nwith é, 书生\n"


class Notes(SilentRun):
    """Keeps what a hub reports."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.steps.append((done, total, unit))

    def note(self, message: str) -> None:
        self.notes.append(message)


def make_release(
    folder: Path,
    target: str,
    options: dict[str, Any],
    *,
    tag: str = "v1.0.0",
    seed: int = 0,
    weights: int = 300_000,
    files: dict[str, bytes] | None = None,
    journal: Path | None = None,
) -> PublishInput:
    """`folder` staged as a release whose safetensors files hold `weights` random bytes each; what
    is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        path = folder / f"model-0000{number}-of-00002.safetensors"
        if not path.exists():
            path.write_bytes(random.Random(10 * seed + number).randbytes(weights))
    (folder / "README.md").write_text(CARD.format(tag=tag), "utf-8")
    (folder / "config.json").write_text('{"model_type": "internvl_chat"}\n')
    (folder / "configuration.json").write_text(
        '{"framework": "pytorch", "task": "image-text-to-text"}\n'
    )
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub" / "a name.txt").write_bytes(b"text\r\n")
    (folder / "tokenizer.model").write_bytes(bytes(range(256)) * 10)
    for path, data in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    manifest.write_gitattributes(folder)
    listed = manifest.build(
        folder, name="InternVL2-Tiny", tag=tag, created="2026-01-02", digests={}
    )
    listed.write(folder)
    message, date = f"InternVL2-Tiny {tag}", "2026-01-02"
    staged = lfs.stage(
        folder,
        listed,
        message=message,
        author_name="Ada",
        author_email="a@example.org",
        date=date,
        tag=tag,
    )
    return PublishInput(
        folder, listed.released(), staged.commit, tag, message, target, options, journal
    )
