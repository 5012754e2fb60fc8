"""What git would refuse only after the evaluation: tags and authors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from case import PLAN, RELEASE, Case, release

KIND = "tags and authors"

_TAGS = (
    *("v1..0", "v1.lock", "v1.", ".v1", "-v1", "v 1", "v1~1", "v1^", "v1:0", "v1?", "v1*", "v1[0]"),
    *("v1/0", "", "v1\\n", "@{1}", "ä", "v" * 65, "v1..", "a.lock"),
)
_AUTHORS = (
    *("name: ''", 'name: "a\\nb"', 'name: "a\\0b"', 'name: "a\\eb"', "name: 'A <a@b>'"),
    *("email: ''", 'email: "a@b\\nc"', "email: '<a@b>'", "name: '...'", "name: ';,'"),
    *('name: "a\\u2028b"', 'name: "a\\x85b"', "name: [a]", "name: 3", "email: {a: 1}"),
)


def _release(text: str) -> Callable[[Path], None]:
    return lambda folder: release(folder, RELEASE + text)


CASES = [
    *(Case(f"tag {tag!r}", PLAN, _release(f'tag: "{tag}"\n'), says="line 6: tag") for tag in _TAGS),
    *(
        Case(f"author.{author}", PLAN, _release(f"author:\n  {author}\n"), says="line 7")
        for author in _AUTHORS
    ),
]
