"""Caption embeddings by tiny text encoders of the real widths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hubkit_nextgpt import precompute
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    ClapTextConfig,
    ClapTextModelWithProjection,
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
)

from hubkit.sdk import DataError, UsageError

WORDS = ["<pad>", "<s>", "</s>", "<unk>", "a", "red", "car", "dog", "barks", "on", "the", "road"]
CAPTIONS = ["a red car", "a dog on the road", "a car barks"]


def save(folder: Path, model: Any, length: int) -> Path:
    inner = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=length, **special)
    tokenizer.save_pretrained(folder / "tokenizer")
    model.save_pretrained(folder / "text_encoder")
    return folder


def clip(folder: Path, width: int) -> Path:
    torch.manual_seed(3)
    size = {
        "vocab_size": len(WORDS),
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = CLIPTextConfig(
        hidden_size=width, bos_token_id=1, eos_token_id=2, pad_token_id=0, **size
    )
    return save(folder, CLIPTextModel(config), 77)


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("sd"), 1024)


@pytest.fixture(scope="module")
def audioldm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    size = {
        "vocab_size": len(WORDS),
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = ClapTextConfig(
        hidden_size=16, projection_dim=512, max_position_embeddings=79, pad_token_id=0, **size
    )
    return save(tmp_path_factory.mktemp("audioldm"), ClapTextModelWithProjection(config), 77)


def captions(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.json"
    path.write_text(
        json.dumps([{f"{kind}_name": f"{i}.x", "caption": text} for i, text in enumerate(CAPTIONS)])
    )
    return path


def test_images_are_77_by_1024_and_resumed(diffusion: Path, tmp_path: Path) -> None:
    file, out = captions(tmp_path, "image"), tmp_path / "embed"
    assert precompute("image", file, diffusion, out, batch_size=2, device="cpu").written == 3
    rows = [np.load(out / f"{i}.x.npy") for i in range(3)]
    assert {(row.shape, row.dtype.str) for row in rows} == {((77, 1024), "<f2")}
    model = CLIPTextModel.from_pretrained(diffusion / "text_encoder").eval()
    ids = torch.zeros(1, 77, dtype=torch.long)
    ids[0, :5] = torch.tensor([1, 4, 5, 6, 2])
    with torch.inference_mode():
        expected = model(ids).last_hidden_state[0]
    assert np.abs(rows[0].astype(np.float32) - expected.numpy()).max() < 4e-3
    assert not np.array_equal(rows[0], rows[1])
    before = (out / "0.x.npy").stat().st_mtime_ns
    (out / "1.x.npy").write_bytes((out / "1.x.npy").read_bytes()[:1000])
    (out / "2.x.npy").unlink()
    done = precompute("image", file, diffusion, out, device="cpu")
    assert (done.written, done.kept) == (2, 1) and (out / "0.x.npy").stat().st_mtime_ns == before
    assert np.array_equal(np.load(out / "1.x.npy"), rows[1])


def test_the_legacy_image_projection_is_768_wide(tmp_path: Path) -> None:
    model = clip(tmp_path / "sd15", 768)
    assert (
        precompute(
            "image", captions(tmp_path, "image"), model, tmp_path / "embed", device="cpu"
        ).written
        == 3
    )
    assert np.load(tmp_path / "embed/0.x.npy").shape == (77, 768)
    with pytest.raises(
        UsageError, match=r"gives \(77, 768\) a caption, NExT-GPT's video projection \(77, 1024\)"
    ):
        precompute("video", captions(tmp_path, "video"), model, tmp_path / "embed")


def test_the_current_code_names_the_files(audioldm: Path, tmp_path: Path) -> None:
    records = [
        {
            "output_audio": "1.wav",
            "audio_captions": "a dog barks",
            "audio_caption_embeddings": "piano.wav.npy",
            "conversations": [],
        },
        {
            "image_captions": "a red car",
            "image_caption_embeddings": "2.jpg.npy",
            "conversations": [],
        },
        {
            "audio_captions": ["a car", "the road"],
            "audio_caption_embeddings": ["3.npy", "4.wav.npy"],
            "conversations": [],
        },
    ]
    (tmp_path / "it.json").write_text(json.dumps(records))
    assert (
        precompute(
            "audio", tmp_path / "it.json", audioldm, tmp_path / "embed", device="cpu"
        ).written
        == 3
    )
    assert sorted(path.name for path in (tmp_path / "embed").iterdir()) == [
        "3.npy",
        "4.wav.npy",
        "piano.wav.npy",
    ]


def test_audio_is_512_of_length_one(audioldm: Path, tmp_path: Path) -> None:
    precompute("audio", captions(tmp_path, "audio"), audioldm, tmp_path / "embed", device="cpu")
    row = np.load(tmp_path / "embed/2.x.npy")
    assert (row.shape, row.dtype) == ((512,), np.float16)
    assert abs(float(np.linalg.norm(row.astype(np.float32))) - 1) < 1e-2


def test_what_is_refused(diffusion: Path, audioldm: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no folder text_encoder"):
        precompute("video", captions(tmp_path, "video"), tmp_path, tmp_path / "e")
    path = tmp_path / "bad.json"
    for record, said in (
        (
            {"image_name": "../x", "caption": "a"},
            r"bad.json, record 1: image_name gives '../x.npy', not the name of a .npy file",
        ),
        ({"image_name": "y", "caption": " "}, "record 1: caption is ' '"),
        ({"image_name": "x", "caption": "another"}, "record 1: 'x.npy' has another caption before"),
        (
            {"image_captions": "a", "image_caption_embeddings": "x.png"},
            "gives 'x.png', not the name",
        ),
        (
            {"image_captions": ["a", "b"], "image_caption_embeddings": "x.npy"},
            "2 captions and 1 image_caption_embeddings",
        ),
        ([], "record 1 is no mapping"),
    ):
        path.write_text(json.dumps([{"image_name": "x", "caption": "a"}, record]))
        with pytest.raises(DataError, match=said):
            precompute("image", path, diffusion, tmp_path / "e")
    path.write_text(
        json.dumps(
            [{"audio_captions": "a", "audio_caption_embeddings": "x.npy", "conversations": []}]
        )
    )
    with pytest.raises(DataError, match="has no captions of kind image"):
        precompute("image", path, diffusion, tmp_path / "e")
