"""Kinds of values that several sections of release.yaml have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ...environments import Environment
from ...errors import UsageError
from ...evaluation.gates import bound
from ...sdk.codec import switch
from ...sdk.excerpt import did_you_mean, shown
from .where import WhereField


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def _bound(text: str) -> str:
    bound(text)
    return text


def each_key(value: dict[str, str], problem: Callable[[str], str | None]) -> dict[str, str]:
    """`value`, unless `problem` says of a key what is wrong with it."""
    wrong = [
        InitErrorDetails(
            type=PydanticCustomError("not_measured", "{told}", {"told": told}),
            loc=(key,),
            input=value[key],
        )
        for key in value
        if (told := problem(key))
    ]
    if wrong:
        raise ValidationError.from_exception_data("require", wrong)
    return value


Required = Annotated[str, AfterValidator(_bound)]


def _possible(path: Path) -> Path:
    if len(str(path).encode()) > 4000 or any(len(part.encode()) > 255 for part in path.parts):
        raise ValueError("longer than a file system takes")
    return path


PathField = Annotated[Path, Field(strict=False), AfterValidator(_possible)]
Switch = Annotated[bool, BeforeValidator(switch)]
Options = dict[str, Any]


def section() -> Any:
    """A section that may be left out. An instance as its default would build its model by itself,
    beside that of the whole file."""
    return Field(default_factory=dict, validate_default=True)


class PythonEnvironment(Section):
    """An interpreter of the user's own, for example of a conda environment."""

    python: PathField = Field(description="the path of the interpreter")


class LockedEnvironment(Section):
    """The environment that hubkit builds from the plugin's lock of this variant, whatever the
    machine offers."""

    locked: str = Field(
        pattern="^[a-z][a-z0-9]*$",
        description="such as `cpu`, `cu12`; `hubkit env list` shows what there is",
    )


def _environment_kind(value: Any) -> str:
    """One problem for a wrong environment, and not one for each of the three things that it could
    have been."""
    if not isinstance(value, (dict, BaseModel)):
        return "text"
    return "LockedEnvironment" if "locked" in dict(value) else "PythonEnvironment"


def _named_environment(value: Any) -> str:
    try:
        Environment.parse(value)
    except UsageError as error:
        near = did_you_mean(value, ("current", "locked"))
        told = f"{error.remedy.removeprefix('write ')}, not {shown(value)}{near}"
        raise PydanticCustomError("not_an_environment", "{told}", {"told": told}) from None
    return str(value)


EnvironmentField = Annotated[
    Annotated[str, BeforeValidator(_named_environment), Tag("text")]
    | Annotated[PythonEnvironment, Tag("PythonEnvironment")]
    | Annotated[LockedEnvironment, Tag("LockedEnvironment")],
    Discriminator(_environment_kind),
    Field(
        description="`current`: hubkit's own; `locked`: built once from the plugin's lock that "
        "fits this machine; `locked:VARIANT`; or the path of an interpreter",
        examples=["current", "locked", "locked:cu12", "/opt/conda/envs/xtuner/bin/python"],
    ),
]


def environment(field: EnvironmentField) -> Environment:
    """An environment as release.yaml names it."""
    return Environment.parse(field if isinstance(field, str) else field.model_dump())


Deadline = Annotated[
    float | None,
    Field(
        gt=0,
        strict=False,
        description="hours after which it counts as hung and is ended; default: never",
    ),
]


StageWhere = Annotated[
    WhereField | None, Field(description="of this stage alone; default: the release's")
]


Processes = Annotated[
    int,
    Field(
        ge=0,
        description="of the engine at once on each node, each with its share of the records and "
        "of the GPUs; 0: one for each GPU",
    ),
]
