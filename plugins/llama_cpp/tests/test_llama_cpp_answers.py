"""llama.cpp itself, on GGUF files of the tiny base and of others with random weights, beside
transformers."""

from __future__ import annotations

import json
import random
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_llama_cpp import LlamaCppEngine
from PIL import Image
from testing.projects import BASE

import hubkit
from hubkit.environments import CURRENT
from hubkit.inference.questions import Questioning, ask, view_for
from hubkit.registry.plugins import plugins
from hubkit.reporting import SilentReporter
from hubkit.sdk import GenerateInput, Record, ServeInput, Turn, UsageError, write_jsonl
from hubkit.sdk.testing import check_engine, check_serving
from hubkit.weights.model import open_model

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
TEMPLATE = (BASE / "tokenizer_config.json").read_text("utf-8")
READ, PARITY = Turn("<image>\nWhich digit is this?", ""), Turn("Is it even or odd?", "")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "InternVL2-Tiny"
    hubkit.export(BASE, out)
    return out


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hubkit.quickstart.glyphs import draw

    folder, dice = tmp_path_factory.mktemp("digits"), random.Random(11)
    for number in range(40):
        draw(number % 10, 56, 56, dice, 0.3).save(folder / f"{number}.png")
    draw(3, 130, 60, dice, 0.2).save(folder / "wide.png")
    return folder


def answers(folder: Path, engine: str, records: list[Record], images: Path, out: Path, **options):
    asked = Questioning(engine, CURRENT, {"threads": 1, **options}, 8, records, images)
    model = open_model(folder)
    view = view_for(engine, model, out / "native", SilentReporter())
    output, found = ask(asked, model, view, out / engine, SilentReporter())
    return output, [one.texts for one in found]


def conversations() -> list[Record]:
    return [
        Record(str(n), (f"{n}.png",), (READ, PARITY) if n % 4 == 0 else (READ,)) for n in range(40)
    ]


def test_conformance(exported: Path, vision, images: Path, tmp_path: Path) -> None:
    records = [Record(str(n), (f"{n}.png",), (READ, PARITY)) for n in range(3)]
    write_jsonl(tmp_path / "records.jsonl", records)
    job = GenerateInput(
        *(exported, exported, vision, tmp_path / "records.jsonl", images, tmp_path / "out", 8),
        {"threads": 1},
    )
    output = check_engine(LlamaCppEngine(), job)
    assert output.prompt == (
        "<s><|im_start|>user\n<img><IMG_CONTEXT></img>\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.integration
def test_forty_pictures_as_transformers(exported: Path, digits: Path, tmp_path: Path) -> None:
    """Texts, prompt and token ids; with 8 bits, texts within a tolerance."""
    said, texts = answers(BASE, "transformers", conversations(), digits, tmp_path)
    output, found = answers(exported, "llama_cpp", conversations(), digits, tmp_path)
    assert found == texts
    assert (output.prompt, output.prompt_ids) == (said.prompt, said.prompt_ids)
    right = sum(text[0] == str(n % 10) for n, text in enumerate(found))
    assert right >= 30
    small = tmp_path / "InternVL2-Tiny"
    hubkit.export(BASE, small, options={"type": "q8_0", "mmproj": "q8_0"})
    _, rounded = answers(small, "llama_cpp", conversations(), digits, tmp_path / "small")
    assert sum(a != b for a, b in zip(rounded, texts, strict=True)) <= 1


QWEN3 = {"head_dim": 32, "attention_bias": False}
KINDS = {
    "LlamaForCausalLM": {},
    "Qwen2ForCausalLM": {},
    "Qwen3ForCausalLM": QWEN3,
}


@pytest.mark.integration
@pytest.mark.parametrize("kind", KINDS)
def test_other_language_models(kind: str, digits: Path, tmp_path: Path) -> None:
    """Random weights: any tensor in a wrong place gives other texts."""
    folder = made(kind, tmp_path / "InternVL2-Random")
    records = [record for record in conversations() if len(record.turns) == 1][:8]
    said, texts = answers(folder, "transformers", records, digits, tmp_path)
    hubkit.export(folder, tmp_path / "gguf")
    output, found = answers(tmp_path / "gguf", "llama_cpp", records, digits, tmp_path)
    assert (output.prompt, output.prompt_ids) == (said.prompt, said.prompt_ids)
    assert shown(found) == shown(texts) and len(set(shown(texts))) > 3


@pytest.mark.integration
def test_qwen2_5_vl(tmp_path: Path) -> None:
    """Pictures of several sizes, none so small that llama.cpp makes it larger (8 positions)."""
    from testing import tiny_processor

    tower = tiny_processor.QWEN.config["vision_config"] | {"window_size": 112}
    kind = replace(
        tiny_processor.QWEN, config={**tiny_processor.QWEN.config, "vision_config": tower}
    )
    folder = tiny_processor.make(kind, tmp_path / "Qwen2.5-VL-Random")
    shake(folder / "model.safetensors")
    dice = random.Random(3)
    for number, size in enumerate(((112, 84), (140, 112), (112, 112), (84, 168))):
        colours = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(2)]
        picture = Image.new("RGB", size, colours[0])
        picture.paste(colours[1], (0, 0, 56, 84))
        picture.save(tmp_path / f"{number}.png")
    records = [Record(str(n), (f"{n}.png",), (READ,)) for n in range(4)]
    said, texts = answers(folder, "transformers", records, tmp_path, tmp_path)
    hubkit.export(folder, tmp_path / "gguf")
    output, found = answers(tmp_path / "gguf", "llama_cpp", records, tmp_path, tmp_path)
    assert (output.prompt, output.prompt_ids) == (said.prompt, said.prompt_ids)
    assert shown(found) == shown(texts) and len(set(shown(texts))) > 2


def shown(texts: list[tuple[str, ...]]) -> list[str]:
    """A text may begin or end within a character: transformers shows each such byte, llama.cpp
    none."""
    return [text[0].replace("\ufffd", "").strip() for text in texts]


def shake(path: Path) -> None:
    """Random weights: any tensor in a wrong place gives other texts."""
    import torch
    from safetensors.torch import load_file, save_file

    dice, tensors = torch.Generator().manual_seed(4), load_file(path)
    for name, tensor in tensors.items():
        random_ = torch.randn(tensor.shape, generator=dice) * 0.2
        norm = ("norm" in name or "ln_q" in name) and name.endswith("weight")
        tensors[name] = 1 + random_ if norm else random_
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.integration
def test_a_tokenizer_of_sentencepiece(digits: Path, tmp_path: Path) -> None:
    """As InternVL2's with InternLM2: the ids of texts with all sorts of characters."""
    from testing.tiny_sentencepiece import TEXTS, train, write

    folder = made("InternLM2ForCausalLM", tmp_path / "InternVL2-Pieces", vocab_size=520)
    (folder / "tokenizer.json").unlink()
    write(folder, train(), chat_template=json.loads(TEMPLATE)["chat_template"])
    question = Turn("<image>\n" + "\n".join((*TEXTS, "🍜  two spaces, \t▁")), "")
    records = [Record("0", ("0.png",), (question,))]
    said, _ = answers(folder, "transformers", records, digits, tmp_path)
    hubkit.export(folder, tmp_path / "gguf")
    output, _ = answers(tmp_path / "gguf", "llama_cpp", records, digits, tmp_path)
    assert output.prompt == said.prompt and len(said.prompt_ids) > 150
    assert output.prompt_ids == said.prompt_ids


def made(kind: str, folder: Path, **extra: Any) -> Path:
    import torch
    from safetensors.torch import save_file

    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    llm = {"architectures": [kind], "rope_scaling": None, "num_hidden_layers": 2}
    llm |= {**KINDS.get(kind, {}), **extra}
    config |= {"torch_dtype": "float32", "llm_config": {**config["llm_config"], **llm}}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    dice = torch.Generator().manual_seed(4)
    layout = plugins().get("family", "internvl").layout(config)
    tensors: dict[str, Any] = {}
    for name, shape in layout.items():
        random_ = torch.randn(shape, generator=dice) * 0.2
        tensors[name] = 1 + random_ if "norm" in name and name.endswith("weight") else random_
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.integration
def test_serves(exported: Path, vision, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "key").write_text("a-key-of-mine")
    (tmp_path / "out").mkdir()
    job = ServeInput(
        *(exported, exported, vision, "InternVL2-Served", "127.0.0.1", port, tmp_path / "out"),
        {"threads": 1},
        tmp_path / "key",
    )
    assert check_serving(LlamaCppEngine(), job).requests == -1


def test_a_folder_without_gguf(tmp_path: Path, vision, images: Path) -> None:
    with pytest.raises(UsageError, match="holds 0 GGUF models and 0 mmproj files") as told:
        hubkit.smoke(BASE, engine="llama_cpp")
    assert "hubkit export FOLDER OUT --exporter gguf" in told.value.remedy
