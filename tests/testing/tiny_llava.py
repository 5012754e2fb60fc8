"""A tiny real LLaVA and what it can learn: a Llama and a CLIP as folders, noisy pictures of one
colour, captions, answers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hubkit
from hubkit.sdk import Record, SilentRun, TrainInput, Turn, write_jsonl
from hubkit.weights.model import open_model

TEXT = {
    **{
        "vocab_size": 415,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
    **{
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    },
    **{"bos_token_id": 1, "eos_token_id": 2},
}
VISION = {
    **{
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
    },
    **{"image_size": 28, "patch_size": 7, "projection_dim": 16},
}
COLOURS = {
    "red": (220, 30, 30),
    "green": (20, 170, 40),
    "blue": (30, 40, 220),
    "white": (240, 240, 240),
}
ASK, DESCRIBE = "Which colour?", "Describe it."
OPTIONS = {
    "batch_size": 8,
    "threads": 1,
    "learning_rate": 3e-3,
    "rank": 8,
    "alpha": 16,
    "checkpoint_every": 1000,
}


def make_llm(folder: Path, **settings: int) -> Path:
    """A random Llama with the quickstart's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(**{**TEXT, **settings})).save_pretrained(folder)
    copy_tokenizer(folder)
    return folder


def make_clip(folder: Path, **settings: int) -> Path:
    """A whole random CLIP: its text tower is left out of a LLaVA."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(2)
    text = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 50,
    }
    CLIPModel(
        CLIPConfig(text_config=text, vision_config={**VISION, **settings}, projection_dim=16)
    ).save_pretrained(folder)
    return folder


def copy_tokenizer(folder: Path) -> None:
    quickstart = Path(hubkit.__file__).parent / "quickstart" / "base"
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy2(quickstart / name, folder / name)


def teach_captions(llm: Path, out: Path) -> Path:
    """The language model after learning to make a caption of a word in the prompt, whatever it is
    asked."""
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(1)
    tokenizer, model = (
        PreTrainedTokenizerFast.from_pretrained(llm),
        LlamaForCausalLM.from_pretrained(llm, dtype=torch.float32),
    )
    optimizer, dice = torch.optim.AdamW(model.parameters(), 3e-3), random.Random(1)
    for _ in range(400):
        rows = [_said(tokenizer, dice) for _ in range(16)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [2] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor(
            [[-100] * start + row[start:] + [-100] * (width - len(row)) for row, start in rows]
        )
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(out)
    copy_tokenizer(out)
    return out


def _said(tokenizer: Any, dice: random.Random) -> tuple[list[int], int]:
    """A conversation's ids, and where the answer begins. The word stands where a picture will."""
    colour = dice.choice(sorted(COLOURS))
    content = f" {colour}" * dice.randint(8, 20) + "\n" + dice.choice((ASK, DESCRIBE))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    start = tokenizer(asked, add_special_tokens=False).input_ids
    return start + tokenizer(
        caption(colour) + "<|im_end|>", add_special_tokens=False
    ).input_ids, len(start)


def caption(colour: str) -> str:
    return f"a picture in {colour}"


def pictures(folder: Path, seed: int = 3) -> dict[str, str]:
    """Name and colour of 32 noisy pictures."""
    import numpy
    from PIL import Image

    folder.mkdir()
    noise, found = numpy.random.default_rng(seed), {}
    for number in range(32):
        colour = sorted(COLOURS)[number % len(COLOURS)]
        values = numpy.array(COLOURS[colour]) + noise.normal(0, 12, (36, 36, 3))
        Image.fromarray(values.clip(0, 255).astype("uint8")).save(folder / f"{number}.png")
        found[f"{number}.png"] = colour
    return found


def pretrain(place: Path, base: Path, shown: Mapping[str, str], images: Path) -> Path:
    """The projector learns to caption; the adapter."""
    captions = [
        Record(name, (name,), (Turn(f"<image>\n{DESCRIBE}", caption(colour)),))
        for name, colour in shown.items()
    ]
    return _train(place, base, captions, images, lora=(), full=("projector",), steps=250)


def finetune(place: Path, base: Path, shown: Mapping[str, str], images: Path) -> Path:
    """LoRAs on both towers, and the projector, learn to answer; the adapter."""
    answers = [
        Record(name, (name,), (Turn(f"<image>\n{ASK}", colour),)) for name, colour in shown.items()
    ]
    return _train(place, base, answers, images, lora=("llm", "vit"), full=("projector",), steps=120)


def _train(place: Path, base: Path, records: list[Record], images: Path, **options: Any) -> Path:
    from hubkit_peft import PeftTrainer

    hubkit.convert(base, place / "native", to="hf")
    for name in ("out", "scratch"):
        (place / name).mkdir()
    write_jsonl(place / "records.jsonl", records)
    model = open_model(base)
    groups = model.family.native(model.config).groups
    job = TrainInput(
        base,
        place / "native",
        groups,
        model.vision,
        place / "records.jsonl",
        images,
        place / "out",
        place / "scratch",
        7,
        {**OPTIONS, **options},
    )
    return place / "out" / PeftTrainer().train(job, SilentRun()).adapter
