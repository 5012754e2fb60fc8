"""The driver of `assemble` and `aliases`: it passes this family and names what others do wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_llava import LLaVA, conformance

from hubkit.sdk import TensorMap
from hubkit.sdk.assembly import Assembly, Taken
from hubkit.sdk.testing import ConformanceError, check_family

CASE = conformance.case(Path())
HEAD = "language_model.lm_head.weight"
BRIDGE = "multi_modal_projector.linear_1.bias"


def check(plugin: Any) -> None:
    check_family(
        plugin, CASE.config, accepted=CASE.accepted, refused=CASE.refused, parts=CASE.parts
    )


def test_this_family() -> None:
    assert CASE.parts is not None
    check(LLaVA())


class Changed(LLaVA):
    """Its assembly with `changes`."""

    changes: Mapping[str, Any] = {}

    def assemble(
        self, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
    ) -> Assembly:
        made = super().assemble(llm, vision, image_token)
        return replace(
            made, **{name: change(getattr(made, name)) for name, change in self.changes.items()}
        )


def without(name: str) -> Any:
    return lambda given: {key: value for key, value in given.items() if key != name}


def with_(**more: Any) -> Any:
    return lambda given: {**given, **more}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tensors": without(HEAD)}, f"differing ['{HEAD}']"),
        ({"fresh": with_(**{HEAD: (1, 1)})}, f"twice ['{HEAD}']"),
        ({"fresh": with_(**{BRIDGE: (3,)})}, f"starts {BRIDGE} with the shape (3,)"),
        ({"tensors": with_(**{HEAD: ()})}, f"takes {HEAD} from []"),
        ({"tensors": with_(**{HEAD: (Taken("text", "x"),)})}, f"takes {HEAD} from"),
        (
            {"tensors": with_(**{HEAD: (Taken("llm", "x", ((2, 2),)),)})},
            f"takes empty rows for {HEAD}",
        ),
        ({"tensors": with_(**{HEAD: (Taken("llm", "x", ((0, 7),)),)})}, f"takes 7 rows for {HEAD}"),
        (
            {"config": with_(architectures=["Other"], model_type="other")},
            "says no to the config that `assemble` made",
        ),
    ],
)
def test_an_assembly_that_breaks_its_contract(changes: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ConformanceError) as error:
        check(type("Changed", (Changed,), {"changes": changes})())
    assert says in str(error.value)


def test_aliases_that_do_not_fit() -> None:
    class Lost(LLaVA):
        def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
            return (TensorMap("lost.weight", "old.weight"),)

    class Gaping(LLaVA):
        def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
            fused = [alias for alias in super().aliases(config) if alias.rows]
            return tuple(fused[1:])

    class Careless(LLaVA):
        def assemble(
            self, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
        ) -> Assembly:
            return super().assemble(llm or CASE.parts.llm, vision or CASE.parts.vision, image_token)

    for plugin, says in (
        (Lost(), "`aliases` names lost.weight, which `layout` does not have"),
        (Gaping(), "each row must come exactly once"),
        (Careless(), "`assemble` of two empty configs must raise UsageError"),
    ):
        with pytest.raises(ConformanceError) as error:
            check(plugin)
        assert says in str(error.value)
