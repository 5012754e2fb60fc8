"""Git LFS pointers where content should be: named before anything else is said of the file."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import hubkit
from hubkit.errors import DataError, UsageError
from hubkit.weights.check import check_base
from hubkit.weights.model import open_model

BASE = Path(hubkit.__file__).parent / "quickstart/base"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
FORMS = (
    POINTER,
    POINTER.replace("\n", "\r\n"),
    POINTER.replace("git-lfs", "hawser"),
    POINTER.replace("https://git-lfs.github.com/spec/v1", "http://git-media.io/v/2"),
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(BASE, tmp_path / "InternVL2-Tiny", ignore=ignored))


def test_the_remedy_fetches_the_content(base: Path, tmp_path: Path) -> None:
    hubkit.track(base)
    clone = tmp_path / "clone"
    skipping = {**os.environ, "GIT_LFS_SKIP_SMUDGE": "1"}
    git = ["git", "-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.required=true"]
    subprocess.run([*git, "clone", "-q", base, clone], check=True, env=skipping)
    (problem,) = hubkit.check(clone)
    assert (problem.where, problem.message) == (
        "model.safetensors",
        "a Git LFS pointer, not the content itself",
    )
    command = problem.remedy.partition("`")[2].partition("`")[0].split()
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    assert hubkit.check(clone) == ()


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "README.md"])
def test_in_an_adapter(base: Path, tmp_path: Path, name: str) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "a/b"}')
    save_file({"a": np.ones(2, np.float32)}, adapter / "adapter_model.safetensors")
    (adapter / name).write_text(POINTER)
    assert name in [p.where for p in hubkit.check(adapter) if "Git LFS pointer" in p.message]
    with pytest.raises(UsageError, match=f"adapter: {name} is a Git LFS pointer"):
        hubkit.merge(base, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()


VERBS: dict[str, Callable[[Path, Path], object]] = {
    "merge": lambda base, out: hubkit.merge(base, base, out),
    "convert": lambda base, out: hubkit.convert(base, out, to="hf"),
    "assemble": lambda base, out: hubkit.assemble(base, base, out, family="llava"),
    "convert back": lambda base, out: hubkit.convert(base, out, to="official", like=BASE),
}


@pytest.mark.parametrize("verb", VERBS)
def test_in_a_base(base: Path, tmp_path: Path, verb: str) -> None:
    for name in ("tokenizer.model", "model.safetensors"):
        (base / name).write_text(POINTER)
    with pytest.raises(UsageError, match=r"model\.safetensors, tokenizer\.model are Git") as caught:
        VERBS[verb](base, tmp_path / "out")
    assert caught.value.remedy.startswith("run `git lfs pull` in InternVL2-Tiny")
    assert not (tmp_path / "out").exists()


def test_before_a_release_is_begun(base: Path) -> None:
    for name in ("tokenizer_config.json", "notes/picture.png"):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text(POINTER)
    (base / "modeling_internvl_chat.py").write_text("# at /home/ada/x\n")
    model = open_model(base)
    assert {p.where: p.message for p in check_base(base, model.family)} == {
        "tokenizer_config.json": "a Git LFS pointer, not the content itself",
        "notes/picture.png": "a Git LFS pointer, not the content itself",
        "modeling_internvl_chat.py:1": "a path on somebody's machine",
    }


def test_what_a_merge_leaves_out_keeps_no_base_from_a_release(base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "_name_or_path": "/home/ada/x"}))
    (base / "train.log").write_text("at /home/ada/x\n")
    assert check_base(base, open_model(base).family) == ()


def test_in_a_dataset(tmp_path: Path) -> None:
    record = {"id": "1", "image": "1.png"}
    turns = [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": "3"}]
    source = tmp_path / "data.json"
    source.write_text(json.dumps([{**record, "conversations": turns}]))
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    hubkit.prepare(source, tmp_path / "sound")
    (tmp_path / "1.png").write_text(POINTER)
    with pytest.raises(DataError, match="a Git LFS pointer, not a picture: run `git lfs pull`"):
        hubkit.prepare(source, tmp_path / "out")
    with pytest.raises(DataError, match="a Git LFS pointer, not a picture"):
        hubkit.prepare(source, tmp_path / "out", hubkit.PrepareSettings(look="exist"))
    source.write_text(POINTER)
    for verb in (lambda: hubkit.prepare(source, tmp_path / "out"), lambda: evaluate(source)):
        with pytest.raises(UsageError, match=r"data\.json is a Git LFS pointer"):
            verb()
    assert not (tmp_path / "out").exists()


def evaluate(source: Path) -> object:
    return hubkit.evaluate(BASE, source)


VERBS_OF_A_MODEL: dict[str, Callable[[Path, Path], object]] = {
    "prepare": lambda base, data: hubkit.prepare(data, None, hubkit.PrepareSettings(base=base)),
    "smoke": lambda base, data: hubkit.smoke(base, images=[data.parent / "1.png"]),
    "evaluate": hubkit.evaluate,
    "serve": lambda base, _: hubkit.serve(base).__enter__(),
}


@pytest.mark.parametrize("verb", VERBS_OF_A_MODEL)
@pytest.mark.parametrize("seed", range(2))
def test_in_a_model_that_is_asked(base: Path, tmp_path: Path, verb: str, seed: int) -> None:
    """Any file, in each form that git-lfs takes."""
    draw = random.Random(f"{seed} {verb}")
    data = tmp_path / "data.json"
    turns = [{"from": "human", "value": "Which?"}, {"from": "gpt", "value": "3"}]
    data.write_text(json.dumps([{"id": "1", "conversations": turns}]))
    Image.new("RGB", (8, 8)).save(tmp_path / "1.png")
    names = [*sorted(path.name for path in base.iterdir()), "tokenizer.model"]
    names.remove("config.json")  # which check cannot do without
    name = draw.choice(names)
    (base / name).write_text(draw.choice(FORMS))
    assert name in [p.where for p in hubkit.check(base) if "Git LFS pointer" in p.message]
    with pytest.raises(UsageError, match=f"{name} is a Git LFS pointer"):
        VERBS_OF_A_MODEL[verb](base, data)
