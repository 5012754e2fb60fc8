"""What the metrics that come with hubkit are tried on, by name."""

from __future__ import annotations

from pathlib import Path

from ..sdk.testing import MetricCase

_EMPTY: tuple[tuple[str, ...], ...] = ((), (" ",))


def case(folder: Path) -> dict[str, MetricCase]:
    return {
        "anls": MetricCase(
            [
                ("Mapo Tofu ", ["rice", "mapo tofu"], 1.0),
                ("mapo tofo", ["mapo tofu"], 8 / 9),
                ("rice", ["mapo tofu"], 0.0),
            ],
            _EMPTY,
        ),
        "contains": MetricCase(
            [
                ("It is Mapo Tofu.", ["mapo tofu"], 1.0),
                ("麻婆豆腐", ["豆腐"], 1.0),
                ("rice", ["tofu"], 0.0),
            ],
            _EMPTY,
        ),
        "exact_match": MetricCase(
            [(" tofu\n", ["rice", "tofu"], 1.0), ("Tofu", ["tofu"], 0.0)], _EMPTY
        ),
        "multiple_choice": MetricCase(
            [
                ("B. 上海", ["B"], 1.0),
                ("(b)", ["B"], 1.0),
                ("Ｂ", ["B"], 1.0),
                ("A red bowl", ["A"], 0.0),
            ],
            (*_EMPTY, ("rice",)),
        ),
    }
