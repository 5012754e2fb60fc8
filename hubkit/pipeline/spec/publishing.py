"""The sections of release.yaml that say what is told and where it goes: author, card, publish,
upload, verify, notify."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from ...packaging.card.languages import PAGES
from .fields import Options, Section, Switch

if TYPE_CHECKING:
    from ...publishing.parallel import Limits


def _identity(text: str) -> str:
    """git drops `<`, `>` and line breaks from an identity, and the marks below at its ends
    (ident.c)."""
    if any(c in "<>" or unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text):
        raise ValueError("a text without <, > and control characters")
    if not text.strip(" .,:;\"\\'"):
        raise ValueError("a text with at least one letter")
    return text


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


class Author(Section):
    """Who signs the commit and the card."""

    name: Annotated[str, AfterValidator(_identity)] = Field("hubkit", description="a name")
    email: Annotated[str, AfterValidator(_identity)] = Field(
        "hubkit@localhost", description="the one address that a release may hold"
    )


class Card(Section):
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


class Target(Section):
    """One place that the release goes to."""

    to: str = Field(
        description="scheme:target, for example git:file:///srv/models/InternVL2-2B-Food.git"
    )
    options: Options = Field(default_factory=dict, description="the hub's own settings")


class Upload(Section):
    """What publishing may use of the network."""

    parallel: int = Field(2, ge=1, le=16, description="hubs at once")
    connections: int = Field(8, ge=1, le=64, description="of all hubs together")
    max_mb_per_second: float = Field(
        0.0, ge=0, description="of all hubs together, in 10^6 bytes; 0: no limit"
    )

    def limits(self) -> Limits:
        from ...publishing.parallel import Limits

        return Limits(self.parallel, self.connections, self.max_mb_per_second)


class Verify(Section):
    """How what was published is proved."""

    deep: Switch = Field(
        True, description="download afresh, hash every byte, check and smoke-test the download"
    )


StageName = Literal[
    "prepare", "train", "merge", "smoke", "evaluate", "variants", "package", "publish", "verify"
]


class Notification(Section):
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
