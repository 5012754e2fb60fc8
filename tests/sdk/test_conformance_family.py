"""The driver of families passes an honest one and names what others do wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from testing.honest_plugins import Pair, caught

from hubkit.sdk import CardFacts, Companions, Experts, Problem, RecognisedModel, TensorMap
from hubkit.sdk.testing import check_family

CONFIG: Mapping[str, Any] = {"model_type": "pair", "rows": 6}


NAMES = {"accepted": "me/PairModel-1", "refused": "Food-Model"}


def test_family() -> None:
    check_family(Pair(), CONFIG, **NAMES, tokens={"<img>": 1})


def family_with(**changes: Any) -> Any:
    return type("Changed", (Pair,), changes)()


def maps(*changed: TensorMap) -> dict[str, Any]:
    return {"maps": (*changed, *Pair.maps[2:])}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            maps(
                TensorMap("llm.q.weight", "fused", ((0, 2),)),
                TensorMap("llm.k.weight", "fused", ((2, 5),)),
            ),
            "rows up to 5 are taken",
        ),
        (
            maps(
                TensorMap("llm.q.weight", "fused", ((0, 4),)),
                TensorMap("llm.k.weight", "fused", ((3, 6),)),
            ),
            "must come exactly once",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.k.weight", "fused")),
            "must come exactly once",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.q.weight", "eye")),
            "native names repeat: ['llm.q.weight']",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.k.weight", "lost")),
            "do not name the same official tensors: ['lost']",
        ),
        (maps(TensorMap("llm.q.weight", "fused")), "no weight of a linear layer 'k' below 'llm'"),
        ({"recognises": lambda self, config: True}, "claims a foreign config: {}"),
        ({"recognises": lambda self, config: False}, "says no to its own config"),
        ({"layout": lambda self, config: {"eye": (2, 0)}}, "gives eye the shape (2, 0)"),
        (
            {"layout": lambda self, config: {"fused": (9, 2)}},
            "`layout` of an empty config must raise UsageError",
        ),
        (
            {"describe": lambda self, config: RecognisedModel("P", "p", 4)},
            "counts 4 parameters, `layout` 18",
        ),
        ({"companions": lambda self, config: Companions(("a", "a|b"))}, "repeats ['a']"),
        ({"companions": lambda self, config: Companions(("../a",))}, "lists '../a'"),
        ({"repository_problem": lambda self, repository: None}, "has nothing against 'Food-Model'"),
        ({"repository_problem": lambda self, repository: "no"}, "refuses 'me/PairModel-1': no"),
        ({"check": lambda self, folder, config: ("wrong",)}, "the contract says Problems"),
        (
            {"check": lambda self, folder, config: (Problem("", "x", "y"),)},
            "a Problem without place, message or remedy",
        ),
        (
            {"check": lambda self, folder, config: (Problem("config.json", "x", "y"),)},
            "finds fault with an official folder",
        ),
        (
            {"card": lambda self, config: CardFacts("a", "b", (), {"Use": "x"})},
            "the snippet 'Use' does not name {repository}",
        ),
        (
            {"experts": lambda self, config: (Experts("e", (1, 9, 9), (("fused",),)),)},
            "`experts`: e takes (1, 9, 9) of fused, `layout` has (6, 2)",
        ),
        (
            {"experts": lambda self, config: (Experts("e", (3, 6, 2), (("a", "b"),)),)},
            "`experts`: e is not of 3 experts",
        ),
        ({"layout": lambda self: {}}, "breaks its contract: method `layout` must take"),
    ],
)
def test_family_that_breaks_its_contract(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    assert says in caught(
        lambda: check_family(family_with(**changes), CONFIG, **NAMES, folder=tmp_path)
    )
