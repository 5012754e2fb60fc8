"""release.yaml: what a release is made of. Frozen models; unknown keys are errors; all problems are
reported at once.

Paths are relative to the file's own folder. The JSON schema for editors is `json_schema()`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from ...environments import Environment
from ...errors import UsageError
from ...evaluation.gates import bound, key_problem, variant_problem
from ...packaging.card.languages import PAGES
from ...sdk.codec import switch
from ...sdk.excerpt import did_you_mean, shown
from .where import LOCAL, SchedulerName, Where, WhereField

if TYPE_CHECKING:
    from ...publishing.parallel import Limits


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


def _bound(text: str) -> str:
    bound(text)
    return text


def _each_key(value: dict[str, str], problem: Callable[[str], str | None]) -> dict[str, str]:
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


def _section() -> Any:
    """A section that may be left out. An instance as its default would build its model by itself,
    beside that of the whole file."""
    return Field(default_factory=dict, validate_default=True)


class PythonEnvironment(_Model):
    """An interpreter of the user's own, for example of a conda environment."""

    python: PathField = Field(description="the path of the interpreter")


class LockedEnvironment(_Model):
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


def _identity(text: str) -> str:
    """git drops `<`, `>` and line breaks from an identity, and the marks below at its ends
    (ident.c)."""
    if any(c in "<>" or unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text):
        raise ValueError("a text without <, > and control characters")
    if not text.strip(" .,:;\"\\'"):
        raise ValueError("a text with at least one letter")
    return text


def _git_tag(tag: str) -> str:
    """As git check-ref-format has it, beyond the pattern."""
    if ".." in tag or tag.endswith((".", ".lock")):
        raise ValueError("a tag that git takes: no `..`, and neither `.` nor `.lock` at its end")
    return tag


def _words(value: Any) -> Any:
    """A text for every page of the card is a mapping with the one key ""."""
    return ({"": value} if value else {}) if isinstance(value, str) else value


def _languages(value: dict[str, str]) -> dict[str, str]:
    if not set(value) <= {"", *PAGES.values()}:
        raise ValueError(f"a text, or a mapping with the keys {' and '.join(PAGES.values())}")
    return value


Words = Annotated[
    dict[str, str],
    BeforeValidator(_words),
    AfterValidator(_languages),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {language: {"type": "string"} for language in PAGES.values()},
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class Author(_Model):
    """Who signs the commit and the card."""

    name: Annotated[str, AfterValidator(_identity)] = Field("hubkit", description="a name")
    email: Annotated[str, AfterValidator(_identity)] = Field(
        "hubkit@localhost", description="the one address that a release may hold"
    )


class Base(_Model):
    """The model that is fine-tuned: a folder in its family's official layout."""

    path: PathField = Field(description="the folder")
    name: str = Field(
        "",
        description="its repository on a hub, for the card (organisation/name); default: the "
        "folder's name",
    )
    license: str = Field("", description="only when the base folder does not say it")


class AcceptedTerm(_Model):
    """A restriction of the dataset's terms that does not bind this release, and why: a permission,
    say. Both are public."""

    term: str = Field(description="the restriction, such as `evaluation-only`")
    reason: str = Field(min_length=10, description="why it does not bind this release")


class Data(_Model):
    """What it is fine-tuned and evaluated on."""

    format: str = Field("llava_json", description="a dataset plugin: `hubkit plugins` lists them")
    path: PathField = Field(description="the dataset's file or folder")
    images: PathField | None = Field(
        None, description="the folder that image paths are relative to; default: the file's own"
    )
    name: str = Field("", description="the dataset's name for the card")
    license: str = Field(
        "", description="the dataset's licence, when the data itself does not say it"
    )
    holdout: int | float = Field(
        0.1, description="records kept for evaluation: a count, or a share below 1"
    )
    holdout_file: PathField | None = Field(
        None, description="records for evaluation in a file of their own; replaces holdout"
    )
    group: Literal["record", "image"] = Field(
        "record", description="image: records that share a picture stay on one side"
    )
    repeat: int = Field(1, ge=1, description="how often each record is trained on in an epoch")
    fix: Switch = Field(
        False, description="repair what is safe to repair; the report says what was done"
    )
    accept_terms: tuple[AcceptedTerm, ...] = Field(
        (), strict=False, description="see `hubkit prepare`: restrictions of the terms"
    )
    options: Options = Field(default_factory=dict, description="the format's own settings")

    @property
    def title(self) -> str:
        """What the card and the messages call the dataset."""
        return self.name or self.path.stem

    @field_validator("holdout")
    @classmethod
    def _sensible(cls, value: int | float) -> int | float:
        if value <= 0 or (isinstance(value, float) and value >= 1):
            raise ValueError("a count of at least 1, or a share between 0 and 1")
        return value


class Train(_Model):
    """How the adapter comes about: trained, or given."""

    adapter: PathField | None = Field(
        None,
        description="an adapter trained before (PEFT folder, xtuner's iter_N.pth, InternVL's "
        "LoRA): nothing is trained then",
    )
    trainer: str = Field("peft", description="a trainer plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    where: StageWhere = None
    options: Options = Field(default_factory=dict, description="the trainer's own settings")


class FurtherAdapter(_Model):
    """One more adapter, merged after the trained one, its change multiplied by `weight`."""

    path: PathField = Field(description="a PEFT folder or a checkpoint of XTuner's")
    weight: float = Field(1.0, allow_inf_nan=False, description="what its change is multiplied by")


class Merge(_Model):
    """How the adapter becomes a model, and which of the two is published."""

    rounding: Literal["once", "xtuner"] = Field(
        "once", description="`once`: float32, rounded once; `xtuner`: as its converter rounds"
    )
    layout: Literal["as_base", "official", "hf"] = Field(
        "as_base",
        description="of the merged model: the base's own, the official one, or transformers' own",
    )
    publish: Literal["merged", "adapter", "both"] = Field(
        "merged",
        description="the merged model, the adapter alone (a PEFT folder), or the model with the "
        "adapter in `adapter/`",
    )
    adapters: tuple[FurtherAdapter, ...] = Field(
        (), strict=False, description="further adapters, merged in this order"
    )

    @model_validator(mode="after")
    def _whole(self) -> Merge:
        if self.layout != "as_base" and self.publish != "merged":
            raise ValueError(
                f"publish: {self.publish} publishes an adapter, which is for the base as it is; "
                "leave out `layout`"
            )
        if self.adapters and self.publish != "merged":
            raise ValueError(
                f"publish: {self.publish} is for one adapter; with further `adapters` only the "
                "merged model is whole"
            )
        return self


class Smoke(_Model):
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


class Evaluate(_Model):
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
        return _each_key(value, lambda key: key_problem(key, metrics))


class Ask(_Model):
    """The engine that the variant's users have: it must load the variant and answer."""

    engine: str = Field("llama_cpp", description="an engine plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    options: Options = Field(default_factory=dict, description="the engine's own settings")
    processes: Processes = 1


class Variant(_Model):
    """The merged model in one more form, judged beside it and published with it."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$",
        description="what its repository is called after the release's: `GGUF` makes `NAME-GGUF`",
    )
    exporter: str = Field("gguf", description="an exporter plugin")
    environment: EnvironmentField = "current"
    deadline: Deadline = None
    options: Options = Field(default_factory=dict, description="the exporter's own settings")
    ask: Ask = _section()
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
        return _each_key(value, lambda key: variant_problem(key, value[key]))


class Card(_Model):
    """What the model card says that no stage finds out."""

    title: str = Field("", description="its heading; default: the repository's name")
    summary: Words = Field(
        {}, description="one sentence on what the model is for; `{en: ..., zh: ...}` by language"
    )
    intended_use: Words = Field({}, description="what the model may be used for, as `summary`")
    limits: Words = Field({}, description="what it cannot do or was not tried on, as `summary`")
    languages: tuple[str, ...] = Field(
        ("en",), strict=False, description="languages of the data, as ISO 639-1 codes"
    )
    samples: int = Field(6, ge=0, le=24, description="records in the gallery")


class Target(_Model):
    """One place that the release goes to."""

    to: str = Field(
        description="scheme:target, for example git:file:///srv/models/InternVL2-2B-Food.git"
    )
    options: Options = Field(default_factory=dict, description="the hub's own settings")


class Upload(_Model):
    """What publishing may use of the network."""

    parallel: int = Field(2, ge=1, le=16, description="hubs at once")
    connections: int = Field(8, ge=1, le=64, description="of all hubs together")
    max_mb_per_second: float = Field(
        0.0, ge=0, description="of all hubs together, in 10^6 bytes; 0: no limit"
    )

    def limits(self) -> Limits:
        from ...publishing.parallel import Limits

        return Limits(self.parallel, self.connections, self.max_mb_per_second)


class Verify(_Model):
    """How what was published is proved."""

    deep: Switch = Field(
        True, description="download afresh, hash every byte, check and smoke-test the download"
    )


StageName = Literal[
    "prepare", "train", "merge", "smoke", "evaluate", "variants", "package", "publish", "verify"
]


class Notification(_Model):
    """A command or a webhook that is told when a stage has ended or failed. Its own failure is
    noted and stops nothing."""

    command: tuple[str, ...] = Field(
        (), strict=False, description="program and arguments; the event is JSON on standard input"
    )
    env: tuple[str, ...] = Field(
        (), strict=False, description="variables that the command sees, such as a token's"
    )
    webhook: str = Field(
        "", pattern="^$|^https://", description="an https address, which gets the event by POST"
    )
    webhook_env: str = Field(
        "", description="the variable that holds that address, since many are secrets"
    )
    stages: tuple[StageName, ...] = Field(
        (), strict=False, description="only at the end of these stages; default: all"
    )
    states: tuple[Literal["sealed", "failed"], ...] = Field(
        ("sealed", "failed"), strict=False, min_length=1, description="only of these ends"
    )

    @model_validator(mode="after")
    def _one(self) -> Notification:
        if sum(map(bool, (self.command, self.webhook, self.webhook_env))) != 1:
            raise ValueError("name one of command, webhook and webhook_env")
        return self


class Spec(_Model):
    """One release."""

    name: str = Field(
        description="the repository's name; for the InternVL family it must contain `InternVL`"
    )
    tag: Annotated[str, AfterValidator(_git_tag)] = Field(
        "v1.0.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="the release's git tag"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="decides the split and the training")
    where: WhereField = Field(LOCAL, validate_default=True)
    author: Author = _section()
    base: Base
    data: Data
    train: Train = _section()
    merge: Merge = _section()
    smoke: Smoke = _section()
    evaluate: Evaluate = _section()
    variants: tuple[Variant, ...] = Field(
        (), strict=False, description="further forms of the merged model, such as GGUF"
    )
    card: Card = _section()
    publish: tuple[Target, ...] = Field((), strict=False)
    upload: Upload = _section()
    verify: Verify = _section()
    notify: tuple[Notification, ...] = Field((), strict=False)

    @field_validator("variants")
    @classmethod
    def _distinct(cls, value: tuple[Variant, ...]) -> tuple[Variant, ...]:
        names = [variant.name.lower() for variant in value]
        if len(set(names)) < len(names):
            raise ValueError("two variants have one name, upper and lower case apart")
        return value

    @property
    def heavy(self) -> tuple[str, ...]:
        """The stages that need hardware."""
        trained = () if self.train.adapter else ("train",)
        return (*trained, "smoke", "evaluate", *(("variants",) if self.variants else ()))

    def where_of(self, stage: str) -> Where:
        """Where a stage runs; one that needs no hardware runs here, variants where the release
        does."""
        if stage not in self.heavy:
            return Where(scheduler=LOCAL)
        own: Where | None = getattr(getattr(self, stage), "where", None)
        return own or self.where

    def placed(self, scheduler: SchedulerName) -> Spec:
        """The same release with `scheduler` for what it asks of no other by a stage's own `where`.

        Raises:
            UsageError: the scheduler needs settings, and the release has none for it.
        """
        if self.where.scheduler == scheduler:
            return self
        if scheduler == "kubernetes":
            raise UsageError(
                "--where kubernetes: the release file says neither image nor claim",
                "write `where: {scheduler: kubernetes, image: IMAGE, claim: CLAIM}` into it",
            )
        return self.model_copy(update={"where": Where(scheduler=scheduler)})


def json_schema() -> dict[str, Any]:
    """The JSON schema of release.yaml, for editors and for other tools."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {**head, **Spec.model_json_schema(), "title": "release.yaml"}
