"""What a user of NExT-GPT has: a checkout (of `checkouts/`), base models, data, a launcher. All
tiny; the training is real."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY, ADDED, WIDTH = 40, 6, 32
DECODERS = ("stable_diffusion", "zeroscope", "audioldm")

DEEPSPEED = """#!{python}
import os, subprocess, sys
assert sys.argv[1:3] == ["--include", "localhost:0"], sys.argv
assert os.environ["PYTHONDONTWRITEBYTECODE"]
local = ["--local_rank=0"] if sys.argv[3] == "train.py" else []
sys.exit(subprocess.run([sys.executable, sys.argv[3], *local, *sys.argv[4:]]).returncode)
"""


def make_launcher(folder: Path) -> Path:
    """deepspeed's command line on one process: it passes the script and its arguments on."""
    program = folder / "deepspeed"
    program.write_text(DEEPSPEED.format(python=sys.executable))
    program.chmod(0o755)
    return program


def make_models(folder: Path) -> dict[str, str]:
    """Their folders by name."""
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "vicuna")
    for name, file in (
        ("imagebind", "imagebind_huge.pth"),
        *((name, "model_index.json") for name in DECODERS),
    ):
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
    return {name: str(folder / name) for name in ("vicuna", "imagebind", *DECODERS)}


def make_data(folder: Path) -> Path:
    """`cc3m/` for both codes, `embed/` with the embeddings of its captions."""
    draw = np.random.default_rng(1)
    records = [
        {
            "image_name": f"{number}.jpg",
            "image_caption_embeddings": f"{number}.jpg.npy",
            "words": draw.integers(1, VOCABULARY, 5).tolist(),
            "picture": draw.normal(size=16).tolist(),
        }
        for number in range(2)
    ]
    for path in (folder / "cc3m", folder / "embed"):
        path.mkdir(parents=True)
    for name in ("cc3m.json", "cc3m_generation.json"):
        (folder / "cc3m" / name).write_text(json.dumps(records))
    for record in records:
        np.save(
            folder / "embed" / record["image_caption_embeddings"],
            draw.normal(size=24).astype(np.float16),
        )
    return folder


def make_checkout(kind: str, folder: Path) -> Path:
    """`legacy` or `current`."""
    shutil.copytree(Path(__file__).parent / "checkouts" / kind, folder)
    return folder
