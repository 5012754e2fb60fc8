"""What people wrote in a dataset: in which scripts, how long, and which answers recur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..sdk import IMAGE, Record
from .findings import Texts
from .lengths import summary
from .writing import languages, scripts

_SHOWN = 10
_LONGEST = 200
"""Characters of an answer that is shown."""


def texts_of(records: Sequence[Record]) -> Texts | None:
    """Of these records; None of none."""
    turns = [turn for record in records for turn in record.turns]
    if not turns:
        return None
    prompts = [turn.prompt.replace(IMAGE, "").strip() for turn in turns]
    answers = [turn.answer for turn in turns]
    letters = scripts([*prompts, *answers])
    frequent = Counter(answers).most_common(_SHOWN)
    return Texts(
        records=len(records),
        languages=languages(letters),
        scripts={name: count / letters.total() for name, count in letters.most_common(_SHOWN)},
        prompts=summary([(len(text), ()) for text in prompts], 0),
        answers=summary([(len(text), ()) for text in answers], 0),
        distinct=len({*answers}),
        frequent=tuple((text[:_LONGEST], count) for text, count in frequent if count > 1),
    )
