"""Everything that a model card can say, as frozen data. What is left at its default is left out of
the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hubkit.evaluation.results import Measure
from hubkit.sdk import CardFacts, ReleaseFile, Terms

Relation = Literal["adapter", "finetune", "merge", "quantized"]
"""Hugging Face's values of `base_model_relation`."""


@dataclass(frozen=True)
class License:
    """`id` is a hub's licence id such as `mit`; a licence that hubs do not know has the id `other`,
    a `name` and a `link`."""

    id: str
    name: str = ""
    link: str = ""

    @property
    def label(self) -> str:
        return self.name or self.id


@dataclass(frozen=True)
class Base:
    """`name` is the repository of the base model; `license_source` says in words where its licence
    was read."""

    name: str
    license: License
    license_source: str
    relation: Relation = "finetune"


@dataclass(frozen=True)
class Dataset:
    """`train` and `holdout` count records; `shared` of the latter have a picture or their text in
    common with one trained on. `accepted` maps restrictions of the terms to the reason for which
    they do not bind this release."""

    name: str
    terms: Terms = field(default_factory=Terms)
    train: int | None = None
    holdout: int | None = None
    accepted: Mapping[str, str] = field(default_factory=dict)
    shared: int = 0


@dataclass(frozen=True)
class Training:
    """`trainer` is empty and `steps` 0 when the adapter was trained before the release."""

    trainer: str
    steps: int
    samples: int
    trainable_parameters: int
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One picture of the gallery; the `right` marks are shown only when known."""

    picture: Path
    question: str
    reference: str
    model_answer: str
    base_answer: str | None = None
    model_right: bool | None = None
    base_right: bool | None = None


@dataclass(frozen=True)
class LossPoint:
    step: int
    loss: float


@dataclass(frozen=True)
class Exchange:
    question: str
    answer: str


@dataclass(frozen=True)
class Smoke:
    """The conversation that the finished model had before it was published. `prompt` is the exact
    text that the model was asked with; `as_trained` whether that is how it was trained (None: not
    known), `prompt_differs` why it is not. `not_run` is an engine that could not run, in whose
    place `engine` was asked; `differing` of `compared` answers are not those of the engine
    `compared_with`."""

    engine: str
    turns: tuple[Exchange, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    prompt: str = ""
    not_run: str = ""
    compared_with: str = ""
    compared: int = 0
    differing: int = 0
    as_trained: bool | None = None
    prompt_differs: str = ""


@dataclass(frozen=True)
class Lineage:
    """sha256 digests of what went in; `versions` of the tools that worked on it."""

    base: str = ""
    data: str = ""
    adapter: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CardInput:
    """`repository` is `organisation/name` or `name`; `created` is an ISO 8601 date, with or without
    a time; `languages` are ISO 639 codes of the data; `architecture` describes the model for
    people; `title` and `summary` replace the ones made from the facts."""

    repository: str
    tag: str
    created: str
    base: Base
    family: CardFacts
    title: str = ""
    summary: str = ""
    architecture: str = ""
    languages: tuple[str, ...] = ("en",)
    datasets: tuple[Dataset, ...] = ()
    training: Training | None = None
    evaluations: tuple[Measure, ...] = ()
    samples: tuple[Sample, ...] = ()
    loss: tuple[LossPoint, ...] = ()
    smoke: Smoke | None = None
    weights: tuple[ReleaseFile, ...] = ()
    lineage: Lineage = Lineage()

    @property
    def name(self) -> str:
        """The repository's name without its organisation."""
        return self.repository.rpartition("/")[2]

    @property
    def date(self) -> str:
        """The day of `created`, as 2026-01-31."""
        return self.created[:10]
