"""Every error that pydantic can raise for a release file is told in hubkit's own words."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import core_schema

from hubkit.errors import SpecError
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.spec.messages import WANTED, WHOLE, problem
from hubkit.pipeline.spec.model import Spec

MINIMAL: dict[str, Any] = {"name": "InternVL2-X", "base": {"path": "b"}, "data": {"path": "d.json"}}
JUNK = (
    None,
    True,
    0,
    -1,
    7.5,
    -1e9,
    math.inf,
    math.nan,
    10**30,
    "",
    "x",
    "no such thing",
    b"bytes",
    [],
    [[]],
    [7],
    {},
    {"x": 1},
    {"python": 3},
    {"locked": "CU 12"},
    {7: "a"},
)
PYDANTIC = re.compile(r"Input should|should be|should have|valid (dict|tuple|string|int)|pydantic")
KEYS = {"missing", "extra_forbidden"}
OWN = {"value_error", "literal_error", *WHOLE}


def keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of the release file, those of items as 0."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        annotation: Any = field.annotation
        for kind in (annotation, *typing.get_args(annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                inner = (*above, name) if kind is annotation else (*above, name, "0")
                yield from keys(kind, inner)


def with_value(at: tuple[str, ...], value: object) -> dict[str, Any]:
    """A release file with `value` at one place, whatever else it needs left out."""
    whole: Any = value
    for part in reversed(at):
        whole = [whole] if part == "0" else {part: whole}
    head = at[0]
    mine, default = whole[head], MINIMAL.get(head)
    if isinstance(mine, dict) and isinstance(default, dict) and len(at) > 1:
        whole = {head: {**default, **mine}}
    return {**MINIMAL, **whole}


def raised(value: object) -> list[Any]:
    try:
        Spec.model_validate(value)
    except ValidationError as error:
        return list(error.errors())
    return []


def test_whatever_stands_anywhere_is_told_in_our_words() -> None:
    places, kinds = list(keys(Spec)), set()
    assert len(places) > 60 and ("merge", "adapters", "0", "weight") in places
    for at in places:
        for junk in JUNK:
            for error in raised(with_value(at, junk)):
                kinds.add(error["type"])
                if error["type"] not in KEYS:
                    told = problem(error)
                    assert not PYDANTIC.search(told), (at, junk, told)
    assert kinds - KEYS - OWN == WANTED.keys()


def test_every_type_of_error_that_pydantic_has_is_told_in_some_words() -> None:
    """Also those that no key of today raises."""
    context = {"gt": 1, "ge": 1, "lt": 1, "le": 1, "min_length": 1, "pattern": "x"}
    context |= {"error": "a path", "expected": "'a' or 'b'"}
    for kind in typing.get_args(core_schema.ErrorType):
        told = problem({"type": kind, "input": "x", "ctx": context, "msg": "Input should be x"})
        assert told.endswith(", not 'x'") and not PYDANTIC.search(told)


def told(folder: Path, data: dict[str, Any], *overrides: str) -> list[str]:
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(SpecError) as caught:
        load(path, overrides)
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("merge.rounding=onec", "one of once, xtuner, not 'onec' (did you mean 'once'?)"),
        (
            "merge.publish=merge",
            "one of merged, adapter, both, not 'merge' (did you mean 'merged'?)",
        ),
        ("seed=x", "a whole number, not 'x'"),
        ("verify.deep=perhaps", "true or false, not 'perhaps'"),
        ("base.name=7", "a text, not 7 (put it in quotes)"),
        ("publish=7", "a list, not 7"),
        ("smoke=7", "a mapping of keys to values, not 7"),
        ("smoke.tolerance=2", "a number of at most 1, not 2"),
        ("train.deadline=0", "a number above 0, not 0"),
    ],
)
def test_what_was_set_on_the_command_line_says_so(
    tmp_path: Path, override: str, problem: str
) -> None:
    key = override.partition("=")[0]
    assert told(tmp_path, MINIMAL, override) == [f"--set {key}: {key}: {problem}"]


def test_a_key_or_an_option_that_was_set_has_its_nearest_match(tmp_path: Path) -> None:
    assert told(tmp_path, MINIMAL, "data.holdot=3") == [
        "--set data.holdot: unknown key 'data.holdot' (did you mean 'holdout'?)"
    ]
    (one,) = told(tmp_path, MINIMAL, "train.options.rnak=3")
    assert one == (
        "--set train.options.rnak: train.options: unknown key 'rnak' (did you mean 'rank'?)"
    )
    (one,) = told(tmp_path, MINIMAL, "train.options.quantize=4bits")
    assert one.endswith("not '4bits' (did you mean '4bit'?)")
    (one,) = told(tmp_path, MINIMAL, "publish=[{to: 'hugingface:a/InternVL2-b'}]")
    assert "(did you mean 'huggingface'?)" in one and one.startswith("--set publish: ")
    (one,) = told(tmp_path, MINIMAL, "evaluate.require={improvment: '> 0'}")
    assert "(did you mean 'improvement'?)" in one


def test_an_environment_is_also_a_path(tmp_path: Path) -> None:
    path = tmp_path / "release.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    spec = load(
        path, ["train.environment=/opt/conda/bin/python", "smoke.environment=./venv/python"]
    )
    assert str(spec.train.environment.python) == "/opt/conda/bin/python"  # type: ignore[union-attr]
    assert spec.smoke.environment.python == tmp_path / "venv/python"  # type: ignore[union-attr]
    assert load(path, ["train.environment=locked:cu12"]).train.environment == "locked:cu12"
    assert load(path, ["train.environment=~/x/python"]).train.environment == "~/x/python"
