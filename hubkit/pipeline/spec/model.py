"""release.yaml: what a release is made of. Frozen models; unknown keys are errors; all problems are
reported at once.

Paths are relative to the file's own folder. The JSON schema for editors is `json_schema()`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from ...errors import UsageError
from .fields import Section, section
from .judging import Evaluate, Smoke, Variant
from .making import Base, Data, Merge, Train
from .publishing import Author, Card, Notification, Target, Upload, Verify
from .where import LOCAL, SchedulerName, Where, WhereField


def _git_tag(tag: str) -> str:
    """As git check-ref-format has it, beyond the pattern."""
    if ".." in tag or tag.endswith((".", ".lock")):
        raise ValueError("a tag that git takes: no `..`, and neither `.` nor `.lock` at its end")
    return tag


class Spec(Section):
    """One release."""

    name: str = Field(
        description="the repository's name; for the InternVL family it must contain `InternVL`"
    )
    tag: Annotated[str, AfterValidator(_git_tag)] = Field(
        "v1.0.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="the release's git tag"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="decides the split and the training")
    where: WhereField = Field(LOCAL, validate_default=True)
    author: Author = section()
    base: Base
    data: Data
    train: Train = section()
    merge: Merge = section()
    smoke: Smoke = section()
    evaluate: Evaluate = section()
    variants: tuple[Variant, ...] = Field(
        (), strict=False, description="further forms of the merged model, such as GGUF"
    )
    card: Card = section()
    publish: tuple[Target, ...] = Field((), strict=False)
    upload: Upload = section()
    verify: Verify = section()
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
