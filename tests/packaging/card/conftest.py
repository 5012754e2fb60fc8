"""Facts for cards: everything filled in, and the least that a card can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from testing.cards import sample

from hubkit.evaluation.results import Interval, Measure, Outcomes
from hubkit.packaging.card import (
    Author,
    Base,
    CardInput,
    Dataset,
    Download,
    Exchange,
    License,
    Lineage,
    LossPoint,
    Smoke,
    Training,
)
from hubkit.sdk import CardFacts, ReleaseFile, Terms

SNIPPET = """```python
from transformers import AutoModel

model = AutoModel.from_pretrained("{repository}")
print({"a": 1})
```"""
IMPROVED = Measure(
    "exact_match",
    "1",
    400,
    score=Interval(0.96, 0.94, 0.9775),
    right=384,
    base=Interval(0.305, 0.26, 0.35),
    base_right=122,
    change=Interval(0.655, 0.61, 0.7),
    test="mcnemar",
    p_value=2.7e-79,
)
FAMILY = CardFacts(
    "transformers", "image-text-to-text", ("internvl", "custom_code"), {"Transformers": SNIPPET}
)


@pytest.fixture
def minimal() -> CardInput:
    base = Base("OpenGVLab/InternVL2-2B", License("mit"), "base model card README.md")
    return CardInput("InternVL2-2B-Least", "v1.0.0", "2026-01-31", base, FAMILY)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """An 8-bit RGBA picture of 56 x 40 pixels with text metadata in it."""
    from PIL.PngImagePlugin import PngInfo

    image = Image.new("RGBA", (56, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((16, 8, 40, 32), fill=(200, 30, 30, 255))
    info = PngInfo()
    info.add_text("Author", "/home/somebody")
    path = tmp_path / "some picture.png"
    image.save(path, pnginfo=info)
    return path


@pytest.fixture
def full(picture: Path) -> CardInput:
    return CardInput(
        repository="example/InternVL2-Digits",
        tag="v1.2.0",
        created="2026-01-31T12:00:00Z",
        base=Base("example/InternVL2-Tiny", License("apache-2.0"), "base model file LICENSE"),
        family=FAMILY,
        architecture="InternVL2 (InternViT + InternLM2, 1.3 M parameters)",
        summary={"en": "Reads handwritten digits.", "zh": "识别手写数字。"},
        author=Author("Ada Lovelace", "ada@example.org"),
        download=Download(
            "Hugging Face", "hf download example/InternVL2-Digits --local-dir InternVL2-Digits"
        ),
        languages=("en", "zh"),
        datasets=(
            Dataset(
                "example/handwritten-digits", Terms("cc-by-4.0", ("credit the authors",)), 1397, 400
            ),
        ),
        training=Training(
            "peft",
            400,
            12800,
            123456,
            {"rank": 16, "learning_rate": 3e-05, "vit": "frozen", "resume": True},
        ),
        evaluations=(IMPROVED,),
        samples=(
            sample((picture,), ("Which digit is this?", "3", "8", "3", True, False)),
            sample((picture,), ("Which digit is this?", "7", "1", "1", False, False)),
        ),
        outcomes=Outcomes(262, 0, 138),
        loss=tuple(
            LossPoint(step, 2.3 / (1 + step / 40) + 0.05 * (step % 7)) for step in range(1, 401)
        ),
        smoke=Smoke(
            "transformers",
            (Exchange("Which digit?", "3"), Exchange("Is it even?", "no")),
            {"torch": "2.13.0"},
            "<s>user\n```x",
        ),
        weights=(ReleaseFile("model.safetensors", 5_400_000, "ab" * 32, True),),
        lineage=Lineage("01" * 32, "23" * 32, "45" * 32, {"hubkit": "0.1.0", "peft": "0.21.2"}),
    )
