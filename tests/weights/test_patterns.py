"""An adapter's patterns match as peft matches them, or are refused in seconds."""

from __future__ import annotations

import re
import time

import pytest

from hubkit.errors import WeightsError
from hubkit.weights import patterns
from hubkit.weights.patterns import first_matching

NAMES = [
    f"model.language_model.layers.{layer}.{part}"
    for layer in (0, 1, 10, 21)
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj")
]
PATTERNS = [
    *("q_proj", "self_attn.o_proj", "layers.1.mlp.up_proj", "proj", "", "q_proj|o_proj"),
    *(
        r"layers\.\d+\.mlp\..*",
        r"(?!.*q_proj).*proj",
        r".*\.(?P<n>1)\d*\..*\1?",
        "Q_PROJ",
        "(?i:Q_PROJ)",
    ),
    *(
        "model.language_model.layers.0.self_attn.q_proj",
        r"^model.*up_proj",
        r"layers\.[01]\.[^.]+\.q_proj",
    ),
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_they_match_as_in_peft(pattern: str) -> None:
    expected = {
        name: pattern if re.match(rf"(.*\.)?({pattern})$", name) else None for name in NAMES
    }
    assert first_matching([pattern], NAMES, "x") == expected


def test_the_first_counts() -> None:
    found = first_matching(["o_proj", "nothing", "layers.0.*", ".*"], NAMES, "x")
    assert [found[name] for name in NAMES[:4]] == ["layers.0.*", "o_proj", "layers.0.*", ".*"]


def test_slow_ones_are_refused() -> None:
    began = time.process_time()
    with pytest.raises(
        WeightsError, match=r"\['\(\(\.\*\)\*\)\*X'\] against 12 names .* more than 1 s"
    ):
        first_matching(["((.*)*)*X"], NAMES, "x")
    assert time.process_time() - began < 1


def test_broken_ones_are_named() -> None:
    with pytest.raises(WeightsError, match=r"x: '\(' is no regular expression \(missing \)"):
        first_matching(["q_proj", "("], NAMES, "x")


def test_greedy_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matching it takes more memory than it gets."""
    monkeypatch.setattr(patterns, "_MEMORY", 64 << 20)  # before the second is over
    with pytest.raises(WeightsError, match=r"x: \['\(\?:\(a\)\|b\)\*c'\] cannot be matched"):
        first_matching(["(?:(a)|b)*c"], ["a" * 5_000_000], "x")
