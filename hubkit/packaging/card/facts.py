"""Everything that a model card can say, as frozen data. What is left at its default is left out of
the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hubkit.evaluation.results import Interval, Measure, Outcomes, SampleTurn
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
    was read; `page` is its page, by default where hubs lead from `name`."""

    name: str
    license: License
    license_source: str
    relation: Relation = "finetune"
    page: str | None = None


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
    """One record of the gallery, with all its pictures and turns."""

    pictures: tuple[Path, ...]
    turns: tuple[SampleTurn, ...]


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
    known), `prompt_differs` why it is not. `by_server` says that a server was asked, whose prompt
    hubkit cannot see. `not_run` is an engine that could not run, in whose
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
    by_server: bool = False


@dataclass(frozen=True)
class Lineage:
    """sha256 digests of what went in; `versions` of the tools that worked on it."""

    base: str = ""
    data: str = ""
    adapter: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Author:
    """Who answers for the release; `email` may be empty."""

    name: str
    email: str = ""


@dataclass(frozen=True)
class Download:
    """How people get the release: a line of shell that downloads it into a folder of its name;
    `hub` is where from, for people, and `page` where they read about it, if anywhere."""

    hub: str
    command: str
    page: str = ""


@dataclass(frozen=True)
class MadeFrom:
    """The card is of a variant that `exporter` made; `same` of its answers to the scored records
    are, word for word, those of the model it was made from. `engine` gave them, `beside` the
    other's."""

    exporter: str
    engine: str
    beside: str
    same: int


@dataclass(frozen=True)
class OtherForm:
    """A variant of the model. It has a `repository` of its own, with the line of shell that
    downloads it, or lies in `folder` of this one, with `usage` by program. `score` of `metric` is
    from `count` records, of which `same` have this model's texts."""

    name: str
    size: int
    engine: str
    metric: str
    score: Interval
    count: int
    same: int
    repository: str = ""
    download: Download | None = None
    folder: str = ""
    usage: Mapping[str, str] = field(default_factory=dict)


Words = Mapping[str, str]
"""A text by the language of the page, `en` or `zh`; what has the key "" is for every page."""


@dataclass(frozen=True)
class CardInput:
    """`repository` is `organisation/name` or `name`; `created` is an ISO 8601 date, with or without
    a time; `languages` are ISO 639 codes of the data; `architecture` describes the model for
    people; `title` replaces the one made from the facts. `samples` show `outcomes` in
    proportion. `made_from` is of a variant, whose `base` is the merged model; `forms` are the
    variants of a merged model. `evaluated_by_server` says that the scored answers are a server's,
    whose prompt hubkit cannot see."""

    repository: str
    tag: str
    created: str
    base: Base
    family: CardFacts
    title: str = ""
    summary: Words = field(default_factory=dict)
    intended_use: Words = field(default_factory=dict)
    limits: Words = field(default_factory=dict)
    author: Author | None = None
    download: Download | None = None
    architecture: str = ""
    languages: tuple[str, ...] = ("en",)
    datasets: tuple[Dataset, ...] = ()
    training: Training | None = None
    evaluations: tuple[Measure, ...] = ()
    samples: tuple[Sample, ...] = ()
    outcomes: Outcomes | None = None
    loss: tuple[LossPoint, ...] = ()
    smoke: Smoke | None = None
    weights: tuple[ReleaseFile, ...] = ()
    lineage: Lineage = Lineage()
    evaluated_by_server: bool = False
    made_from: MadeFrom | None = None
    forms: tuple[OtherForm, ...] = ()

    @property
    def name(self) -> str:
        """The repository's name without its organisation."""
        return self.repository.rpartition("/")[2]

    @property
    def date(self) -> str:
        """The day of `created`, as 2026-01-31."""
        return self.created[:10]
