"""What readers of a folder stumble over, and transformers' own word on each."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.sdk.families import folder_problems, processor_problems
from hubkit.sdk.families.soundness import generation_problems

QUICKSTART = Path(hubkit.__file__).parent / "quickstart" / "base"
SETTINGS: dict[str, list[Any]] = {
    "do_sample": [True, False, None],
    "temperature": [1.0, 0.2, None],
    "top_p": [1.0, 0.9],
    "top_k": [50, 1],
    "min_p": [None, 0.1],
    "typical_p": [1.0, 0.5],
    "epsilon_cutoff": [0.0, 0.1],
    "num_beams": [1, 4, None],
    "early_stopping": [False, True],
    "length_penalty": [1.0, 0.8],
    "num_return_sequences": [1, 3],
    "pad_token_id": [0, -1],
    "max_new_tokens": [16, 0],
    "output_scores": [False, True],
    "return_dict_in_generate": [True, False],
}


@pytest.mark.parametrize("seed", range(40))
def test_generation_settings_are_refused_when_transformers_would_not_save_them(seed: int) -> None:
    from transformers import GenerationConfig

    draw = random.Random(seed)
    keys = draw.sample(sorted(SETTINGS), draw.randint(1, 4))
    settings = {key: draw.choice(SETTINGS[key]) for key in keys}
    try:
        GenerationConfig(**settings).validate(strict=True)
        refuses = False
    except ValueError:
        refuses = True
    found = list(generation_problems(settings))
    assert bool(found) is refuses, (settings, found)
    for problem in found:  # the remedy: what is named is removed
        settings.pop(problem.where.removeprefix("generation_config.json: "), None)
    assert list(generation_problems(settings)) == []
    GenerationConfig(**settings).validate(strict=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy2(QUICKSTART / name, tmp_path / name)
    return tmp_path


def edit(path: Path, **settings: Any) -> None:
    old = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**old, **settings}))


PICTURES = "{% for m in messages %}{{ m['content'][0]['image'] }}{% endfor %}"


def test_templates_that_differ(folder: Path) -> None:
    own = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    assert list(folder_problems(folder, {})) == []
    (folder / "chat_template.jinja").write_text(own + "\n")
    edit(folder / "chat_template.json", chat_template=own)
    assert list(folder_problems(folder, {})) == []
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        before = (folder / name).read_bytes() if (folder / name).is_file() else b"{}"
        for template in ("another", [{"name": "default", "template": "another"}]):
            edit(folder / name, chat_template=template)
            (problem,) = folder_problems(folder, {})
            assert problem.where == name and "another chat template" in problem.message
            edit(folder / name, chat_template=own)  # the remedy
            assert list(folder_problems(folder, {})) == []
        (folder / name).write_bytes(before)


def test_a_language_models_own_template_beside_the_processors(folder: Path) -> None:
    """As llava-v1.6-mistral is published; with a .jinja file it would be read in its place."""
    edit(folder / "chat_template.json", chat_template=PICTURES)
    assert list(folder_problems(folder, {})) == []
    (folder / "chat_template.jinja").write_text(PICTURES)
    (problem,) = folder_problems(folder, {})
    assert problem.where == "tokenizer_config.json"


def test_no_template(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", chat_template=None)
    (problem,) = folder_problems(folder, {})
    assert (problem.where, problem.message[:13]) == ("chat_template", "is in no file")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TokenizersBackend", "only transformers 5 knows"),
        ("InternLM2Tokenizer", "no reader knows"),
        ("LlamaTokenizerFast", ""),
        ("Qwen2Tokenizer", ""),
        ("PreTrainedTokenizerFast", ""),
    ],
)
def test_the_tokenizers_class(folder: Path, name: str, words: str) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class=name)
    found = list(folder_problems(folder, {}))
    assert [words in problem.message for problem in found] == ([True] if words else [])
    if not words:
        return
    edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    assert list(folder_problems(folder, {})) == []
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(folder).encode("a")


def test_a_class_of_the_folders_own(folder: Path) -> None:
    own = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    edit(folder / "tokenizer_config.json", tokenizer_class="InternLM2Tokenizer", auto_map=own)
    assert list(folder_problems(folder, {})) == []


def test_the_image_processors_settings(folder: Path) -> None:
    edit(folder / "processor_config.json", processor_class="LlavaProcessor")
    (problem,) = processor_problems(folder)
    assert problem.where == "preprocessor_config.json" and "no image_processor" in problem.message
    edit(folder / "processor_config.json", image_processor={"crop_size": 28})
    assert list(processor_problems(folder)) == []
