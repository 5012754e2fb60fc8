"""The sections of release.yaml that say how a model is judged: smoke, evaluate, variants."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ...evaluation.gates import key_problem, variant_problem
from .fields import (
    Deadline,
    EnvironmentField,
    Options,
    Processes,
    Required,
    Section,
    StageWhere,
    Switch,
    each_key,
    section,
)


class Smoke(Section):
    """The gate before anything is published: the model must answer."""

    engine: str = Field("transformers", description="an engine plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    where: StageWhere = None
    options: Options = Field(default_factory=dict, description="the engine's own settings")
    images: int = Field(2, ge=1, description="how many held-out images are asked about")
    prompts: tuple[str, ...] = Field(
        (), strict=False, description="one a turn; default: the record's own"
    )
    prompt_differs: str = Field(
        "", description="why the model may be asked with another prompt than it was trained with"
    )
    max_new_tokens: int = Field(64, ge=1, description="the longest answer, in tokens")
    compare_with: str = Field(
        "",
        description="another engine that is asked the same: the greedy answers must be equal texts",
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="the share of answers that may differ from those of compare_with",
    )
    fallback: str = Field(
        "",
        description="the engine asked instead where `engine` lacks a GPU or a package; the card "
        "says so",
    )


class Evaluate(Section):
    """How good the model is beside its base, on the held-out records."""

    engine: str = Field("transformers", description="an engine plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    where: StageWhere = None
    options: Options = Field(default_factory=dict, description="the engine's own settings")
    metrics: tuple[str, ...] = Field(
        ("exact_match",),
        strict=False,
        min_length=1,
        description="metric plugins; the release is judged by the first",
    )
    require: dict[str, Required] = Field(
        default_factory=dict,
        description='gates: `METRIC: ">= 0.9"`, `improvement: "> 0"` over the base, '
        '`improvement_ci: "> 0"` (its interval)',
    )
    slices: tuple[str, ...] = Field(
        (), strict=False, description="fields of the records' meta to score apart"
    )
    limit: int | None = Field(None, ge=1, description="at most so many held-out records")
    max_new_tokens: int = Field(64, ge=1, description="the longest answer, in tokens")
    processes: Processes = 1

    @field_validator("require")
    @classmethod
    def _measured(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        metrics = info.data.get("metrics", ())
        return each_key(value, lambda key: key_problem(key, metrics))


class Ask(Section):
    """The engine that the variant's users have: it must load the variant and answer."""

    engine: str = Field("llama_cpp", description="an engine plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    options: Options = Field(default_factory=dict, description="the engine's own settings")
    processes: Processes = 1


class Variant(Section):
    """The merged model in one more form, judged beside it and published with it."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$",
        description="what its repository is called after the release's: `GGUF` makes `NAME-GGUF`",
    )
    exporter: str = Field("gguf", description="an exporter plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    options: Options = Field(default_factory=dict, description="the exporter's own settings")
    ask: Ask = section()
    require: dict[str, str] = Field(
        default_factory=lambda: {"drop": "<= 1 %"},
        description='gates beside the merged model: `drop: "<= 1 %"` of the first metric, '
        '`drop_ci` (the upper end of its interval), `same_texts: ">= 90 %"`',
    )
    optional: Switch = Field(
        False, description="when it fails, the release goes on without it; else nothing goes out"
    )
    publish: Literal["own", "within"] = Field(
        "own",
        description="`own`: a repository of its own beside each target, `NAME-VARIANT`; `within`: "
        "a folder of that name in the release",
    )

    @model_validator(mode="after")
    def _free(self) -> Variant:
        if self.publish == "within" and self.name.lower() in ("adapter", "assets"):
            raise ValueError(
                f"the release has a folder {self.name} of its own; choose another name"
            )
        return self

    @field_validator("require")
    @classmethod
    def _comparable(cls, value: dict[str, str]) -> dict[str, str]:
        return each_key(value, lambda key: variant_problem(key, value[key]))
