"""The shipped base: complete, small, reproducible in form, equal in function under its own code and
under transformers'."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest

import hubkit
from hubkit.quickstart.base_files import CHAT_TEMPLATE, write_files
from hubkit.quickstart.make_base import Recipe, make_base
from hubkit.registry.plugins import plugins
from hubkit.sdk import UsageError, tiles
from hubkit.weights.convert import to_native
from hubkit.weights.model import Model

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"


def digests(folder: Path) -> dict[str, str]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture(scope="module")
def family():
    return plugins().get("family", "internvl")


@pytest.fixture(scope="module")
def config():
    return json.loads((BASE / "config.json").read_text("utf-8"))


def test_is_a_complete_official_folder(family, config):
    assert family.check(BASE, config) == ()
    assert family.describe(config).parameters < 1_400_000
    assert (BASE / "model.safetensors").stat().st_size <= 3_000_000


def test_weights_have_the_official_names_and_shapes(family, config):
    from safetensors import safe_open

    with safe_open(BASE / "model.safetensors", "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        dtypes = {file.get_slice(name).get_dtype() for name in found}
    assert found == dict(family.layout(config))
    assert dtypes == {"BF16"}
    assert sum(map(prod, found.values())) == family.describe(config).parameters


def test_configuration_and_tokenizer_are_what_the_script_writes(tmp_path):
    write_files(tmp_path)
    written = digests(tmp_path)
    assert written == {name: digest for name, digest in digests(BASE).items() if name in written}
    assert len(written) == 5


def test_the_script_repeats_itself(tmp_path):
    recipe = Recipe(steps=2, batch=4, talk_from=0, large_from=1, large_every=1, threads=1)
    make_base(tmp_path / "one", recipe)
    make_base(tmp_path / "two", recipe)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert set(digests(tmp_path / "one")) == set(digests(BASE))
    with pytest.raises(UsageError, match="is there already"):
        make_base(tmp_path / "one", recipe)


def test_any_text_has_ids():
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(BASE)
    for text in ("Which digit is this?", "图中的菜是什么? 🍜", "\t0xFF\n"):
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text
    assert tokenizer.chat_template == CHAT_TEMPLATE


REMOTE = """
import json, sys, torch
from transformers import AutoModel, AutoTokenizer
base, inputs, out = sys.argv[1:]
model = AutoModel.from_pretrained(base, trust_remote_code=True, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=True)
given = torch.load(inputs, weights_only=True)
with torch.no_grad():
    logits = model(pixel_values=given["pixels"], input_ids=given["ids"]).logits
chat = lambda text, history: model.chat(tokenizer, given["pixels"], text, {"max_new_tokens": 8}, history, return_history=True)
first, history = chat("<image>\\nWhich digit is this?", None)
second, history = chat("Is it even or odd?", history)
torch.save({"logits": logits, "said": [first, second], "turns": len(history), "class": type(model).__name__}, out)
"""  # noqa: E501


def test_own_code_gives_the_logits_and_answers_of_the_native_model(family, config, tmp_path):
    """The base's own code, run as its users would run it, in a process of its own."""
    import numpy
    import torch
    from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast

    from hubkit.quickstart.glyphs import draw

    vision = family.vision(config, None)
    to_native(Model.of(BASE, family), tmp_path / "native")
    (tile,) = tiles(draw(7, 56, 56, random.Random(1), 0.2), vision)
    values = (
        numpy.asarray(tile, dtype=numpy.float32) / 255 - numpy.float32(vision.mean)
    ) / numpy.float32(vision.std)
    pixels = torch.from_numpy(values.transpose(2, 0, 1)[None].copy())
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path / "native")
    text = (
        f"<s><|im_start|>user\n{vision.placeholder(1)}\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
    torch.save({"pixels": pixels, "ids": ids}, tmp_path / "inputs.pt")
    command = [
        sys.executable,
        "-c",
        REMOTE,
        str(BASE),
        str(tmp_path / "inputs.pt"),
        str(tmp_path / "out.pt"),
    ]
    environment = {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "PATH": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    theirs = torch.load(tmp_path / "out.pt", weights_only=True)
    model = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "native", dtype=torch.float32
    ).eval()
    with torch.no_grad():
        ours = model(input_ids=ids, pixel_values=pixels).logits
    assert torch.allclose(theirs["logits"], ours, atol=1e-5)
    assert (theirs["class"], theirs["turns"], theirs["said"]) == (
        "InternVLChatModel",
        2,
        ["7", "odd"],
    )


def test_digits_are_the_same_bytes_each_time(digits, tmp_path):
    from PIL import Image

    from hubkit.quickstart.digits import write_digits

    first = digests(digits)
    assert first == digests(write_digits(tmp_path / "again"))
    assert len(first) == 1798
    records = json.loads((digits / "digits.json").read_text("utf-8"))
    assert len({record["id"] for record in records}) == 1797
    assert records[9] == {
        "id": "0009",
        "image": "0009.png",
        "conversations": [
            {"from": "human", "value": "<image>\nWhich digit is this?"},
            {"from": "gpt", "value": "9"},
        ],
    }
    with Image.open(digits / "images" / "0009.png") as picture:
        assert (picture.size, picture.mode) == ((56, 56), "L")
