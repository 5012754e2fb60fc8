"""The metrics that come with hubkit. They enter through the same door as anybody's: entry points of
`hubkit.metric`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ..sdk import DataError
from .edit_distance import edit_distance
from .multiple_choice import choice

_LEAST_SIMILAR = 0.5  # below it ANLS gives nothing (Biten et al. 2019)


class ExactMatch:
    """1 when the answer equals a reference, ignoring surrounding whitespace."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str] = "exact_match"
    sdk: ClassVar[str] = "1.2"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Exact match"
    rules: ClassVar[Mapping[str, str]] = {
        "en": "when it equals the reference, ignoring surrounding whitespace",
        "zh": "去掉首尾空白后与参考答案完全相同即为正确",
    }

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        return float(answer.strip() in [reference.strip() for reference in _some(references)])


class Contains:
    """1 when the answer contains a reference, in upper or lower case."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str] = "contains"
    sdk: ClassVar[str] = "1.2"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Contains the reference"
    rules: ClassVar[Mapping[str, str]] = {
        "en": "when it contains the reference, in upper or lower case",
        "zh": "包含参考答案（不区分大小写）即为正确",
    }

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        return float(
            any(
                reference.strip().casefold() in answer.casefold() for reference in _some(references)
            )
        )


class MultipleChoice:
    """1 when the first of the letters A to D that stands as a choice in the answer is the
    reference's; none is wrong."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str] = "multiple_choice"
    sdk: ClassVar[str] = "1.2"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Multiple choice accuracy"
    rules: ClassVar[Mapping[str, str]] = {
        "en": (
            "when the first of the letters A to D that stands in it as a choice is the right one; "
            "none is wrong"
        ),
        "zh": "取其中第一个作为选项出现的 A 至 D 字母，与参考答案一致即为正确，没有则为错误",
    }

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        right = {choice(reference) for reference in _some(references)}
        if None in right:
            raise DataError(
                f"the answer {next(r for r in references if choice(r) is None)!r} names none of "
                "the choices A, B, C and D",
                "write the letter of the right choice as the answer, or use another metric",
            )
        return float(choice(answer) in right)


class Anls:
    """ANLS: one minus the edit distance over the longer text's length, to the nearest reference;
    below 0.5 it is 0. Case and surrounding whitespace do not count."""

    kind: ClassVar[str] = "metric"
    name: ClassVar[str] = "anls"
    sdk: ClassVar[str] = "1.2"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "ANLS"
    rules: ClassVar[Mapping[str, str]] = {
        "en": "by its edit distance to the reference (ANLS; below one half it does not count)",
        "zh": "按与参考答案的编辑距离计分（ANLS，低于 0.5 记 0 分）",
    }

    def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
        best = max(
            _similarity(answer.strip().casefold(), reference.strip().casefold())
            for reference in _some(references)
        )
        return best if best >= _LEAST_SIMILAR else 0.0


def _similarity(one: str, other: str) -> float:
    return 1 - edit_distance(one, other) / max(len(one), len(other))


def _some(references: Sequence[str]) -> Sequence[str]:
    """Raises DataError for an empty reference: every answer would contain it."""
    if not references or not all(reference.strip() for reference in references):
        raise DataError(
            "there is no answer to compare with",
            "give the record an answer, or leave it out of the evaluation",
        )
    return references
