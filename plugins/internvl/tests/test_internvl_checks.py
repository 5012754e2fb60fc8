"""The check of a folder: a complete one passes, and each thing that breaks a model in use is found
and named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hubkit_internvl import InternVL
from testing.projects import BASE
from testing.rights import ordinary

import hubkit
from hubkit.sdk.testing import check_family


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = Path(hubkit.__file__).parent / "quickstart" / "base"
    return Path(
        shutil.copytree(
            base,
            tmp_path / "InternVL2-Tiny",
            ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"),
        )
    )


@pytest.fixture
def findings(folder: Path) -> Callable[[], list[str]]:
    def run() -> list[str]:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return [
            f"{problem.where}: {problem.message}" for problem in InternVL().check(folder, config)
        ]

    return run


def edit(path: Path, change: Callable[[dict], object]) -> None:
    data = json.loads(path.read_text("utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def test_conformance(folder, official):
    config = json.loads((folder / "config.json").read_text("utf-8"))
    check_family(
        InternVL(), config, accepted="org/InternVL2-Tiny-x", refused="org/Food", folder=folder
    )
    check_family(InternVL(), official, accepted="InternVL2-2B-x", refused="Food-Model")


def test_complete_folder_has_no_problem(findings):
    assert findings() == []


@pytest.mark.parametrize(
    "name", ["conversation.py", "configuration_intern_vit.py", "modeling_internvl_chat.py"]
)
def test_missing_code_is_found_where_it_is_wanted(folder, findings, name):
    (folder / name).unlink()
    found = findings()
    assert found and all(f"{name} is missing" in line for line in found)


def test_import_of_a_missing_name_is_found(folder, findings):
    path = folder / "conversation.py"
    path.write_text(path.read_text("utf-8").replace("def place_images", "def put_images"), "utf-8")
    assert findings() == [
        "modeling_internvl_chat.py, line 18: conversation.py does not define place_images"
    ]


def test_imports_inside_try_may_fail(folder, findings):
    with (folder / "conversation.py").open("a") as out:
        out.write(
            "\ntry:\n    from .flash import attention\nexcept ImportError:\n    attention = None\n"
        )
    assert findings() == []


def test_code_is_read_and_never_run(folder, findings, tmp_path):
    mark = tmp_path / "ran"
    with (folder / "modeling_internvl_chat.py").open("a") as out:
        out.write(f"\nopen({str(mark)!r}, 'w')\n")
    assert findings() == []
    assert not mark.exists()


def test_broken_code_is_named(folder, findings):
    (folder / "conversation.py").write_text("def (:\n")
    assert findings()[0].startswith("conversation.py: is not Python")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "auto_map: must name a module.Class"),
        (
            {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"},
            "AutoConfig and AutoModel",
        ),
        (
            {
                "AutoConfig": "other/repo--configuration_internvl_chat.InternVLChatConfig",
                "AutoModel": "a.B",
            },
            "must name a module.Class in this folder",
        ),
        (
            {
                "AutoConfig": "configuration_internvl_chat.Other",
                "AutoModel": "modeling_internvl_chat.InternVLChatModel",
            },
            "configuration_internvl_chat.py does not define Other",
        ),
        (
            {
                "AutoConfig": "../secret.Key",
                "AutoModel": "modeling_internvl_chat.InternVLChatModel",
            },
            "must name a module.Class in this folder",
        ),
    ],
)
def test_auto_map(folder, findings, value, named):
    edit(folder / "config.json", lambda config: config.update(auto_map=value))
    assert any(named in line for line in findings())


def drop_token(folder: Path, token: str) -> None:
    def other(entry: dict) -> bool:
        return entry["content"] != token

    edit(
        folder / "tokenizer.json",
        lambda data: data.update(added_tokens=list(filter(other, data["added_tokens"]))),
    )
    edit(
        folder / "tokenizer_config.json",
        lambda data: data.update(
            added_tokens_decoder={n: t for n, t in data["added_tokens_decoder"].items() if other(t)}
        ),
    )


@pytest.mark.parametrize("token", ["<img>", "<IMG_CONTEXT>", "</box>"])
def test_missing_special_token(folder, findings, token):
    drop_token(folder, token)
    assert findings() == [f"tokenizer: lacks the special token {token}"]


def test_token_beyond_the_vocabulary(folder, findings):
    edit(folder / "config.json", lambda config: config["llm_config"].update(vocab_size=7))
    assert "tokenizer: <IMG_CONTEXT> has id 7, but llm_config.vocab_size is 7" in findings()


def test_tokenizer_files_that_disagree(folder, findings):
    (folder / "added_tokens.json").write_text('{"<img>": 92544}')
    assert (
        findings()[0]
        == "tokenizer: added_tokens.json: token '<img>' has id 92544, but 5 in tokenizer.json"
    )


@pytest.mark.parametrize(
    ("eos", "named"),
    [
        ([2], "<|im_end|> (4) is not in it: the model would not stop"),
        (4, "only one way to stop"),
        (None, "eos_token_id is None"),
        ([2, 4, 92542], "[92542] are beyond the vocabulary"),
    ],
)
def test_stops(folder, findings, eos, named):
    edit(folder / "generation_config.json", lambda data: data.update(eos_token_id=eos))
    assert any(named in line for line in findings())


def test_missing_generation_config(folder, findings):
    (folder / "generation_config.json").unlink()
    assert findings() == ["generation_config.json: is missing"]
    (folder / "generation_config.json").write_text("[]")
    assert findings() == ["generation_config.json: is not a JSON object"]


@pytest.mark.parametrize(
    "name", ["generation_config.json", "conversation.py", "chat_template.jinja"]
)
def test_what_may_not_be_read(folder, findings, name):
    (folder / "chat_template.jinja").write_text(
        json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["chat_template"]
    )
    (folder / name).chmod(0)
    with ordinary():
        (found,) = findings()
        assert found.startswith(f"{name}: cannot be read") and "Permission denied" in found
        (folder / name).unlink()
        if (BASE / name).is_file():  # the remedy
            shutil.copy(BASE / name, folder)
        assert findings() == []


def test_chat_template_in_either_place(folder, findings):
    edit(folder / "tokenizer_config.json", lambda data: data.pop("chat_template"))
    assert len(findings()) == 1 and findings()[0].startswith("chat_template: is in no file")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert findings() == []


def test_unknown_template(folder, findings):
    edit(folder / "config.json", lambda config: config.update(template="vicuna"))
    assert findings()[0].startswith("config.json: template: is 'vicuna', not one of internlm2-chat")


def test_companions_follow_auto_map(official):
    companions = InternVL().companions(official)
    assert companions.required == (
        *(
            "config.json",
            "generation_config.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
        ),
        "tokenizer.json|tokenizer.model|vocab.json",
        *("configuration_internvl_chat.py", "modeling_internvl_chat.py"),
    )
    carried = {
        "conversation.py",
        "modeling_internlm2.py",
        "tokenization_internlm2.py",
        "added_tokens.json",
    }
    assert carried <= set(companions.optional)
    assert not any(name.endswith(".safetensors") for name in companions.optional)
