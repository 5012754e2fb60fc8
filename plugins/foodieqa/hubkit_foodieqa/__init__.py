"""FoodieQA: questions about Chinese dishes, with four choices each.

The three files of the benchmark are read: `sivqa_tidy.json` (one picture), `mivqa_tidy.json` (four
pictures, which are the choices where no texts are) and `textqa_tidy.json` (no picture). The terms
allow evaluation only: https://huggingface.co/datasets/lyan62/FoodieQA.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from hubkit.sdk import DataError, Record, Row, Terms
from hubkit.sdk.codec import decode
from hubkit.sdk.json_items import items
from hubkit.sdk.rows import Place, records_of

from .record import kind_of, record

__all__ = ["FoodieQA"]


@dataclass(frozen=True)
class Options:
    """`form`: `choices` puts the choices A to D into the prompt and has the letter as answer, which
    is how the benchmark is scored; `tutorial` asks the question alone and has the choice and the
    dish's name as answer, as XTuner's tutorial on InternVL2 does. `language` `en` takes the English
    question and choices."""

    form: Literal["choices", "tutorial"] = "choices"
    language: Literal["zh", "en"] = "zh"


class FoodieQA:
    kind: ClassVar[str] = "dataset"
    name: ClassVar[str] = "foodieqa"
    sdk: ClassVar[str] = "1.1"
    Options: ClassVar[type] = Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return records_of(self.scan(source, options, False), source)

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        """Nothing is repaired: a benchmark is used as it is."""
        chosen = decode(Options, options, "options of dataset foodieqa")
        first = ""
        for index, (line, item) in enumerate(items(source, keep_going=True)):
            if isinstance(item, DataError):
                yield Row(index, line, None, item)
                continue
            place = Place(source, index, line, item, key="question_id")
            try:
                first = first or kind_of(place)
                yield Row(index, line, record(place, first, chosen.form, chosen.language))
            except DataError as problem:
                yield Row(index, line, None, problem)

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms(
            license="cc-by-nc-nd-4.0",
            notes=(
                "for research and evaluation only: not for training models",
                "cite the FoodieQA paper",
            ),
            restrictions=("evaluation-only", "no-derivatives"),
            url="https://huggingface.co/datasets/lyan62/FoodieQA",
            benchmark="FoodieQA",
        )
