"""Makes the tiny base model of the quickstart: `python -m hubkit.quickstart.make_base OUT`.

About 1.3 million parameters in the official InternVL2 layout, trained from nothing to read printed
digits, in about five minutes on two CPU cores. Seeded; the same machine and versions give the same
weights.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..sdk import Record, Run, SilentRun, UsageError, Vision, prompts, segments, tiles, token_ids

BASE = Path(__file__).parent / "base"
HAND_WRITTEN = (
    *(
        "README.md",
        "configuration_intern_vit.py",
        "configuration_internlm2.py",
        "configuration_internvl_chat.py",
    ),
    *("conversation.py", "modeling_internvl_chat.py"),
)


@dataclass(frozen=True)
class Recipe:
    """How the base is trained. Pictures begin easy and have their full variety from step `ramp` on;
    second turns come from step `talk_from` on, and from `large_from` on one batch in `large_every`
    has pictures of several tiles.

    Without that gentle start the vision tower, which knows nothing, learns nothing in this time.
    """

    steps: int = 1200
    batch: int = 64
    learning_rate: float = 1e-3
    warmup: int = 50
    ramp: int = 800
    talk_from: int = 250
    large_from: int = 400
    large_every: int = 8
    threads: int = 2
    seed: int = 20261


def make_base(out: Path, recipe: Recipe | None = None, run: Run | None = None) -> None:
    """Writes the complete model folder `out`, which must not exist.

    Raises:
        UsageError: `out` is there already.
    """
    from ..registry.plugins import plugins
    from ..weights.convert import to_official
    from .base_files import write_files

    if out.exists():
        raise UsageError(f"{out} is there already", "name a folder that does not exist")
    family = plugins().get("family", "internvl")
    with tempfile.TemporaryDirectory() as scratch:
        bare, native = Path(scratch, "bare"), Path(scratch, "native")
        bare.mkdir()
        native.mkdir()
        write_files(bare)
        for name in HAND_WRITTEN:
            shutil.copyfile(BASE / name, bare / name)
        config = json.loads((bare / "config.json").read_text("utf-8"))
        view = family.native(config, token_ids(bare))
        (native / "config.json").write_text(json.dumps(view.config), encoding="utf-8")
        _train(bare, native, family.vision(config, None), recipe or Recipe(), run or SilentRun())
        to_official(native, out, family, bare)
    shutil.copyfile(BASE / "README.md", out / "README.md")


def _train(bare: Path, native: Path, vision: Vision, recipe: Recipe, run: Run) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForImageTextToText

    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    model = AutoModelForImageTextToText.from_config(
        AutoConfig.from_pretrained(native), dtype=torch.float32
    )
    embeddings = model.model.vision_tower.embeddings
    for parameter in (embeddings.position_embeddings, embeddings.cls_token):
        torch.nn.init.normal_(parameter, std=0.1)
    decayed = {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": 0.05}
    others = {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}
    optimizer = torch.optim.AdamW(
        [decayed, others], lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _pace(step, recipe))
    model.train()
    for step, batch in enumerate(_batches(bare, vision, recipe), 1):
        run.check_cancelled()
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        run.progress(step, recipe.steps, "steps", loss=loss.item())
    tensors = {
        name: tensor.detach().to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, native / "model.safetensors", metadata={"format": "pt"})


def _pace(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    return 0.02 + 0.49 * (
        1 + math.cos(math.pi * (step - recipe.warmup) / (recipe.steps - recipe.warmup))
    )


def _batches(bare: Path, vision: Vision, recipe: Recipe) -> Iterator[dict[str, Any]]:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(bare)
    dice = random.Random(recipe.seed)
    for step in range(recipe.steps):
        large = step >= recipe.large_from and step % recipe.large_every == 0
        sides = (40, 140) if large else (vision.tile, vision.tile)
        lesson = Lesson(sides, min(1.0, step / recipe.ramp), step >= recipe.talk_from)
        yield _collate(
            [
                _sample(tokenizer, vision, lesson, dice)
                for _ in range(recipe.batch // (2 if large else 1))
            ]
        )


@dataclass(frozen=True)
class Lesson:
    """`sides` is the range of a picture's width and height, `variety` as in `glyphs.draw`."""

    sides: tuple[int, int]
    variety: float
    talk: bool


def _sample(
    tokenizer: Any, vision: Vision, lesson: Lesson, dice: random.Random
) -> tuple[list[int], list[int], Any]:
    """Ids, labels (-100 where nothing is to be learnt) and pixels (tiles, 3, tile, tile) of one
    made-up conversation."""
    import numpy

    from .glyphs import draw
    from .talk import conversation, reading

    digit = dice.randrange(10)
    parts = tiles(
        draw(digit, dice.randint(*lesson.sides), dice.randint(*lesson.sides), dice, lesson.variety),
        vision,
    )
    record = Record(
        "", ("",), conversation(digit, dice) if lesson.talk else (reading(digit, dice),)
    )
    asked, answered = prompts(record, [len(parts)], vision), [turn.answer for turn in record.turns]

    def render(messages: list[dict[str, str]], speak: bool) -> str:
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=speak)
        )

    ids: list[int] = []
    labels: list[int] = []
    for text, is_answer in segments(render, asked, answered):
        piece = tokenizer(text, add_special_tokens=False).input_ids
        ids += piece
        labels += [*piece[:-1], -100] if is_answer else [-100] * len(piece)
    values = numpy.stack([numpy.asarray(part, dtype=numpy.float32) for part in parts]) / 255
    normal = (values - numpy.float32(vision.mean)) / numpy.float32(vision.std)
    return ids, labels, normal.transpose(0, 3, 1, 2)


def _collate(samples: list[tuple[list[int], list[int], Any]]) -> dict[str, Any]:
    import numpy
    import torch

    width = max(len(ids) for ids, _, _ in samples)
    return {
        "input_ids": torch.tensor([ids + [2] * (width - len(ids)) for ids, _, _ in samples]),
        "labels": torch.tensor(
            [labels + [-100] * (width - len(labels)) for _, labels, _ in samples]
        ),
        "attention_mask": torch.tensor(
            [[1] * len(ids) + [0] * (width - len(ids)) for ids, _, _ in samples]
        ),
        "pixel_values": torch.from_numpy(numpy.concatenate([pixels for _, _, pixels in samples])),
    }


class _Lines(SilentRun):
    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if done % 25 == 0:
            sys.stderr.write(
                f"{done:.0f}/{total:.0f} {unit} "
                + " ".join(f"{k}={v:.4f}" for k, v in numbers.items())
                + "\n"
            )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m hubkit.quickstart.make_base OUT")
    make_base(Path(sys.argv[1]), run=_Lines())
