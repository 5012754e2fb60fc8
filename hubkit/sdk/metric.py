"""Metric: how right one answer is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol


class Metric(Protocol):
    kind: ClassVar[str]  # "metric"
    name: ClassVar[str]
    sdk: ClassVar[str]
    version: ClassVar[str]
    """Changes when the same answer may get another score; recorded beside every score."""

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        """From 0 (wrong) to 1 (right): a pure function of one turn's answer, its right answers and
        the record's `meta`.

        Raises:
            DataError: the references cannot be judged against, such as an empty one.
        """


class DescribedMetric(Metric, Protocol):
    """A metric that brings its own wording for the model card. Optional: a card names any other
    metric and says nothing about its rule."""

    title: ClassVar[str]
    """What hubs show as its name, such as "Exact match"."""
    rules: ClassVar[Mapping[str, str]]
    """By the card's language (`en`, `zh`): the rest of a sentence that begins "An answer counts
    for NAME", or 回答 in Chinese. Plain text."""
