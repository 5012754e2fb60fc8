"""Folders that users of such tools ended up with, each broken in one way: hubkit check names it."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import hubkit

BASE = Path(__file__).parents[2] / "hubkit/quickstart/base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(BASE, tmp_path / "InternVL2-Tiny", ignore=ignored))


def edit(folder: Path, name: str, **values: Any) -> None:
    data = json.loads((folder / name).read_text())
    data.update(values)
    (folder / name).write_text(
        json.dumps({key: value for key, value in data.items() if value is not ...})
    )


def edit_llm(folder: Path, **values: Any) -> None:
    held = json.loads((folder / "config.json").read_text())["llm_config"]
    edit(folder, "config.json", llm_config={**held, **values})


def tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    held = load_file(folder / "model.safetensors")
    change(held)
    save_file(held, folder / "model.safetensors", {"format": "pt"})


def no_code(folder: Path) -> None:
    """What save_pretrained of transformers 4.45 to 4.51 leaves of a local base: configuration files
    alone."""
    for path in folder.glob("*.py"):
        if not path.name.startswith("configuration_"):
            path.unlink()


def shifted(folder: Path) -> None:
    """A token added before the others, so that all ids but the first are one too high."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        data = json.loads((folder / name).read_text())
        if name == "tokenizer.json":
            for token in data["added_tokens"]:
                token["id"] += token["id"] > 5
        else:
            data["added_tokens_decoder"] = {
                str(int(number) + (int(number) > 5)): token
                for number, token in data["added_tokens_decoder"].items()
            }
        (folder / name).write_text(json.dumps(data))


def same_id(folder: Path) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    for token in data["added_tokens"]:
        token["id"] -= token["id"] > 4
    (folder / "tokenizer.json").write_text(json.dumps(data))
    edit(folder, "tokenizer_config.json", added_tokens_decoder={})


def renamed_pickle(folder: Path) -> None:
    torch.save({"state_dict": {}}, folder / "optimizer.dat")
    (folder / "notes.txt").write_bytes(pickle.dumps([1]))
    (folder / "ITER_64.PTH").write_bytes(b"")


def unreadable(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 4],}')


BROKEN: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "no modeling files": (
        no_code,
        {"modeling_internvl_chat.py", "config.json: auto_map.AutoModel"},
    ),
    "no template in config": (
        lambda f: edit(f, "config.json", template=...),
        {"config.json: template"},
    ),
    "no chat template": (
        lambda f: edit(f, "tokenizer_config.json", chat_template=...),
        {"chat_template"},
    ),
    "generation_config is not JSON": (unreadable, {"generation_config.json"}),
    "sampling without do_sample": (
        lambda f: edit(f, "generation_config.json", temperature=0.2, top_p=0.9),
        {"generation_config.json: temperature", "generation_config.json: top_p"},
    ),
    "never stops": (
        lambda f: edit(f, "generation_config.json", eos_token_id=[2]),
        {"generation_config.json: eos_token_id"},
    ),
    "path in config": (
        lambda f: edit(f, "config.json", _name_or_path="/home/ada/base"),
        {"config.json: _name_or_path"},
    ),
    "path below llm_config": (
        lambda f: edit(
            f,
            "config.json",
            llm_config={
                **json.loads((f / "config.json").read_text())["llm_config"],
                "_name_or_path": "./internlm2",
            },
        ),
        {"config.json: llm_config._name_or_path"},
    ),
    "a language model that nobody knows": (
        lambda f: edit_llm(f, architectures=["GPT2LMHeadModel"]),
        {"config.json"},
    ),
    "shifted ids": (shifted, {"tokenizer"}),
    "two tokens of one id": (same_id, {"tokenizer"}),
    "head is missing": (
        lambda f: tensors(f, lambda t: t.pop("language_model.output.weight")),
        {"model.safetensors"},
    ),
    "head stored though tied": (
        lambda f: edit(
            f,
            "config.json",
            llm_config={
                **json.loads((f / "config.json").read_text())["llm_config"],
                "tie_word_embeddings": True,
            },
        ),
        {"model.safetensors"},
    ),
    "renamed pickles": (renamed_pickle, {"optimizer.dat", "notes.txt", "ITER_64.PTH"}),
    "vocab_file leads to .env": (
        lambda f: edit(f, "tokenizer_config.json", vocab_file=".env"),
        {"tokenizer_config.json: vocab_file"},
    ),
    "a file above the folder": (
        lambda f: edit(f, "tokenizer_config.json", init={"merges_file": "../id_rsa"}),
        {"tokenizer_config.json: init.merges_file"},
    ),
    "a list of other files": (
        lambda f: edit(
            f,
            "tokenizer_config.json",
            fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.json"],
        ),
        {"tokenizer_config.json: fast_tokenizer_files[1]"},
    ),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), {"model.safetensors"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_it_is_named(folder: Path, name: str) -> None:
    damage, expected = BROKEN[name]
    assert hubkit.check(folder) == ()
    damage(folder)
    problems = hubkit.check(folder)
    assert {problem.where for problem in problems} == expected
    assert all(problem.message and problem.remedy for problem in problems)


def test_a_vocab_file_of_its_own_is_fine(folder: Path) -> None:
    edit(folder, "tokenizer_config.json", vocab_file=None, tokenizer_file="tokenizer.json")
    assert hubkit.check(folder) == ()


def test_nan_is_beyond_the_headers(
    folder: Path, tmp_path: Path, make_adapter: Any, lora: Any
) -> None:
    """As the command's help says: the check reads no tensor; the merge does."""
    tensors(folder, lambda held: held["mlp1.0.weight"].fill_(float("nan")))
    assert hubkit.check(folder) == ()
    adapter = make_adapter(lora("model.language_model.layers.0.self_attn.q_proj", 128, 128))
    with pytest.raises(hubkit.errors.WeightsError, match=r"mlp1\.0\.weight"):
        hubkit.merge(folder, adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()
