"""One broken or hostile input: what makes it, the command it is given to, and what must come of it.

A file in `cases/` is one kind of input: it has `KIND`, its name in the table, and `CASES`. Nothing
else needs to be told of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hubkit

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"
WRONG = 2
"""Exit code of a wrong file; 3 of `hubkit check`, which lists findings."""


@dataclass(frozen=True)
class Case:
    """`make` fills the empty folder in which `command` is then run; `exits` is the exit code, and
    `says` a part of what must be said. With `answer`, status, headers and body of every answer of a
    server, `URL` in the command and in the variables is the server's address; without a body it
    never answers. `beside` runs in a process of its own while the command does, with the folder and
    the command's process; `after` looks at the folder when it has ended. Both raise what is
    wrong."""

    name: str
    command: tuple[str, ...]
    make: Callable[[Path], None]
    exits: int = WRONG
    says: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    answer: tuple[int, Mapping[str, str], bytes | None] | None = None
    beside: Callable[[Path, int], None] | None = None
    after: Callable[[Path], None] | None = None


CHECK = ("check", "base")
CHECK_ADAPTER = ("check", "adapter")
MERGE = ("merge", "base", "adapter", "out")
PLAN = ("plan", "release.yaml")
RELEASE = """\
name: InternVL2-Hostile
base: {path: base, name: hubkit/InternVL2-Tiny}
data: {path: data.json, images: ., license: cc-by-4.0, holdout: 1}
publish:
  - to: git:./hub/InternVL2-Hostile.git
"""


def base(folder: Path, **changes: Any) -> Path:
    """A sound model in `folder/base`; `changes` are files' new contents, `_` for the dot, None
    for none."""
    target = folder / "base"
    shutil.copytree(BASE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name, content in changes.items():
        path = target / ".".join(name.rsplit("_", 1))
        path.unlink(missing_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, "utf-8")
    return target


def config(**changes: Any) -> str:
    """The sound config.json with values changed; `llm_config__hidden_size` is one of a section."""
    data = json.loads((BASE / "config.json").read_text("utf-8"))
    for name, value in changes.items():
        section, _, key = name.rpartition("__")
        (data[section] if section else data)[key] = value
    return json.dumps(data)


def adapter(folder: Path, **settings: Any) -> Path:
    """A sound PEFT adapter of the base in `folder/adapter`, its settings changed."""
    from hubkit.sdk.checkpoints import NewTensor, write_safetensors

    target = folder / "adapter"
    target.mkdir()
    width = json.loads((BASE / "config.json").read_text("utf-8"))["llm_config"]["hidden_size"]
    at = "base_model.model.model.language_model.layers.0.self_attn.o_proj"
    tensors = [
        NewTensor(f"{at}.lora_A.weight", "F32", (2, width), [bytes(8 * width)]),
        NewTensor(f"{at}.lora_B.weight", "F32", (width, 2), [bytes(8 * width)]),
    ]
    write_safetensors(target / "adapter_model.safetensors", tensors, {})
    usual = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "a/b"}
    (target / "adapter_config.json").write_text(json.dumps({**usual, **settings}), "utf-8")
    return target


def both(folder: Path, **settings: Any) -> None:
    base(folder)
    adapter(folder, **settings)


def release(folder: Path, text: str | bytes) -> None:
    """release.yaml with this text, beside a sound base."""
    base(folder)
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    (folder / "release.yaml").write_bytes(data)


def project(folder: Path, change: Callable[[dict[str, Any], int], object] | None = None) -> None:
    """A release of two records, one of them held out; `change` is made to each."""
    from PIL import Image

    found = []
    for number in range(2):
        Image.new("RGB", (56, 56), (number, 9, 9)).save(folder / f"{number}.png")
        turns = [{"from": "human", "value": f"<image>\nWhich {number}?"}]
        turns.append({"from": "gpt", "value": "one"})
        record = {"id": f"r{number}", "image": f"{number}.png", "conversations": turns}
        if change is not None:
            change(record, number)
        found.append(record)
    (folder / "data.json").write_text(json.dumps(found))
    release(folder, RELEASE)
