"""The sections of release.yaml that say what a model is made of: base, data, train, merge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from .fields import (
    Deadline,
    EnvironmentField,
    Options,
    PathField,
    Section,
    StageWhere,
    Switch,
)


class Base(Section):
    """The model that is fine-tuned: a folder in its family's official layout."""

    path: PathField = Field(description="the folder")
    name: str = Field(
        "",
        description="its repository on a hub, for the card (organisation/name); default: the "
        "folder's name",
    )
    license: str = Field("", description="only when the base folder does not say it")


class AcceptedTerm(Section):
    """A restriction of the dataset's terms that does not bind this release, and why: a permission,
    say. Both are public."""

    term: str = Field(description="the restriction, such as `evaluation-only`")
    reason: str = Field(min_length=10, description="why it does not bind this release")


class Data(Section):
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


class Train(Section):
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


class FurtherAdapter(Section):
    """One more adapter, merged after the trained one, its change multiplied by `weight`."""

    path: PathField = Field(description="a PEFT folder or a checkpoint of XTuner's")
    weight: float = Field(1.0, allow_inf_nan=False, description="what its change is multiplied by")


class Merge(Section):
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
