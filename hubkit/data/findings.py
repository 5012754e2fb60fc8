"""What a pass over a dataset found, in numbers and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import DataError

EXAMPLES = 10
"""Of each kind of problem, and in an error's message."""
TITLES = {
    "json": "not JSON",
    "encoding": "not UTF-8",
    "schema": "not of the expected form",
    "keys": "a key of another name",
    "roles": "roles out of order",
    "empty": "empty texts",
    "unanswered": "questions without an answer",
    "marks": "<image> missing, misplaced or too many, or a mark for something else",
    "fields": "fields that change what is learnt",
    "tokens": "the model's own tokens in texts",
    "path": "bad image paths",
    "id": "ids that repeat or are none",
    "choices": "choices and answers that do not fit",
    "image": "images that are missing or broken",
}


@dataclass(frozen=True)
class Problems:
    """`count` records with a problem of kind `code`; the first of them as messages."""

    code: str
    title: str
    count: int
    examples: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Shared:
    """Records held out that have a picture, or their text, in common with one that is trained on. A
    text counts when the record has no picture, or when it is long: short answers repeat without
    anything having leaked."""

    records: int
    by_picture: int
    by_text: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Lengths:
    """Tokens of `measured` records, image positions included. `bins` are (from, to, records), `to`
    not included. `over` are longer than `limit` (0: no limit was given), and `unanswered` of them
    would lose a whole answer."""

    measured: int
    least: int
    median: int
    most: int
    bins: tuple[tuple[int, int, int], ...]
    limit: int = 0
    over: int = 0
    unanswered: int = 0


@dataclass(frozen=True)
class Texts:
    """Questions and answers of `records` records. `languages` are ISO 639-1 codes that the scripts
    suggest, `scripts` shares of all letters; lengths are in characters. `distinct` answers there
    are, and `frequent` ones that recur, the most frequent first."""

    records: int
    languages: tuple[str, ...]
    scripts: Mapping[str, float]
    prompts: Lengths | None
    answers: Lengths | None
    distinct: int
    frequent: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Sample:
    """A record for people to look at: its pictures, as paths below the image folder, and questions
    with their answers; `more` pictures and turns are not shown."""

    id: str
    images: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]
    more: int = 0


@dataclass(frozen=True)
class Report:
    """`rows` were read, `records` of them are sound. `pictures` counts distinct paths; `same` are
    pairs of paths with equal content. `turns`, `images` and `tiles` map a number to how many
    records (of `tiles`: pictures) have it. `samples` are drawn with `seed`. `converted` maps
    what is done to pictures before a model sees them to how many it is done to."""

    name: str
    format: str
    rows: int
    records: int
    pictures: int
    looked: str
    problems: tuple[Problems, ...]
    fixes: Mapping[str, int]
    turns: Mapping[str, int]
    images: Mapping[str, int]
    tiles: Mapping[str, int]
    formats: Mapping[str, int]
    same: int
    same_examples: tuple[str, ...]
    repeated: int
    small: int
    lengths: Lengths | None
    samples: tuple[Sample, ...]
    texts: Texts | None = None
    seed: int = 0
    shared: Shared | None = None
    train: int = 0
    holdout: int = 0
    notes: tuple[str, ...] = ()
    converted: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Tally:
    """Problems by their kind, counted, with the first of each kept."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[DataError]] = field(default_factory=dict)

    def add(self, problem: DataError) -> None:
        code = problem.code or "schema"
        self.counts[code] += 1
        kept = self.first.setdefault(code, [])
        if len(kept) < EXAMPLES:
            kept.append(problem)

    def problems(self) -> tuple[Problems, ...]:
        return tuple(
            Problems(
                code,
                TITLES.get(code, code),
                count,
                tuple(p.message for p in self.first[code]),
                self.first[code][0].remedy,
            )
            for code, count in sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0]))
        )

    def refuse(self, name: str) -> None:
        """Raises the only problem as it is, or one DataError that lists the first ones; nothing
        when there is none."""
        total = sum(self.counts.values())
        if not total:
            return
        kept = [problem for problems in self.first.values() for problem in problems]
        if total == 1:
            raise kept[0]
        raise DataError(
            f"{name}: {total:,} records cannot be used:"
            + listed([problem.message for problem in kept], total),
            "; ".join(dict.fromkeys(problem.remedy for problem in kept[:EXAMPLES])),
        )


def listed(messages: Iterable[str], total: int) -> str:
    """The first messages, one a line, and how many more there are."""
    shown = list(messages)[:EXAMPLES]
    more = f"\n  ... and {total - len(shown):,} more" if total > len(shown) else ""
    return "".join(f"\n  {message}" for message in shown) + more
