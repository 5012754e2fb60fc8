"""scikit-learn's handwritten digits (1,797 pictures of 8x8 pixels, 17 grey levels) as PNG files and
LLaVA conversations."""

from __future__ import annotations

import json
from pathlib import Path

from ..sdk.install import install

SIDE = 56
QUESTION = "<image>\nWhich digit is this?"


def write_digits(folder: Path) -> Path:
    """Writes `folder/images/*.png`, white on black, and `folder/digits.json`; returns `folder`. The
    same bytes every time.

    Raises:
        EnvironmentFailure: scikit-learn is not installed.
    """
    from PIL import Image

    from ..sdk import EnvironmentFailure

    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise EnvironmentFailure(
            f"the digits come with scikit-learn: {error}", install("quickstart")
        ) from None
    digits = load_digits()
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    records = []
    for number, (values, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        name = f"{number:04}.png"
        small = Image.fromarray((values * (255 / 16)).round().astype("uint8"))
        small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(images / name)
        said = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": str(digit)}]
        records.append({"id": f"{number:04}", "image": name, "conversations": said})
    lines = ",\n".join(json.dumps(record) for record in records)
    (folder / "digits.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return folder
