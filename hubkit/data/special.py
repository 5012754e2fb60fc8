"""The model's own tokens, written out in texts: they would be learnt, or asked, as what they do."""

from __future__ import annotations

import re

from ..sdk import IMAGE, Record, special_tokens
from ..weights.model import Model

_REMEDY = "write it in another way, such as with a space in it, or leave the record out"


def tokens_of(base: Model) -> list[str]:
    """Its special tokens and image tokens, the longest first; `<image>` is ours, whatever the base
    says."""
    vision = base.vision
    texts = special_tokens(base.folder) | {vision.start, vision.context, vision.end}
    return sorted(texts - {"", IMAGE}, key=lambda text: (-len(text), text))


class SpecialTokens:
    """Those of `base`, as they are looked for in records."""

    def __init__(self, base: Model) -> None:
        self._any = re.compile("|".join(map(re.escape, tokens_of(base))) or r"(?!)")

    def problem(self, record: Record) -> tuple[str, str] | None:
        """What is wrong with the record's texts, and what to do."""
        for number, turn in enumerate(record.turns):
            for name, text in (("question", turn.prompt), ("answer", turn.answer)):
                if found := self._any.search(text):
                    says = f"{name} {number}: it holds {found[0]!r}, a token of the base model"
                    return says, _REMEDY
        return None
