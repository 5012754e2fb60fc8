"""Neither can be driven with what hubkit brings; the tests pack, restore and train with a checkout
of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk.testing import Undriven


def case(folder: Path) -> Mapping[str, Undriven]:
    return {
        "nextgpt": Undriven(
            "a delta has no native layout and sees no picture: it is asked by NExT-GPT's own code"
        ),
        "nextgpt_stages": Undriven("a training needs a checkout of NExT-GPT and its base models"),
    }
