"""Values from outside, in a message: never longer than a few lines, however large or nested; and
what was probably meant."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

_LONGEST = 300


class _Repr(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 12
        self.maxstring = self.maxother = 120

    def repr_int(self, value: int, level: int) -> str:
        # Python >= 3.11 refuses to write out numbers of more than 4,300 digits.
        bits = value.bit_length()
        return repr(value) if bits <= 400 else f"a number of {bits} bits"

    def repr_instance(self, value: Any, level: int) -> str:
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            return f"<{type(value).__name__} of {len(value)}>"
        return super().repr_instance(value, level)


_REPR = _Repr()


def shown(value: Any) -> str:
    """`repr(value)`, cut where it would be long."""
    text = _REPR.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def did_you_mean(written: Any, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `known`; empty when none is near."""
    from difflib import get_close_matches

    near = get_close_matches(written.lower(), known, 1) if isinstance(written, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""
