"""How long records are for a model: tokens of the conversation as it is trained on, image positions
included."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..environments import CURRENT, call
from ..errors import EnvironmentFailure, UsageError
from ..files.outside import read_json, read_text
from ..registry.plugins import plugins
from ..sdk import (
    IMAGE,
    MeasureInput,
    MeasuringEngine,
    Record,
    SilentRun,
    Vision,
    grid,
    prompts,
    segments,
    token_ids,
    write_jsonl,
)
from ..sdk.install import install
from ..weights.model import Model
from ..weights.native_files import SETTINGS, TEMPLATE, TOKENIZER, write_native_files
from .findings import Lengths

_BINS = 24
Counted = tuple[int, tuple[tuple[int, int], ...]]
"""Tokens, and for each answer its first and last position."""


class TokenCounter:
    """Counts with the base's own tokenizer and chat template, as the trainer and the engine do.

    Raises:
        EnvironmentFailure: the package `tokenizers` is missing.
        UsageError: the base has no tokenizer or chat template that can be used.
    """

    def __init__(self, base: Model) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise EnvironmentFailure(
                "counting tokens needs the package tokenizers", install("transformers")
            ) from None
        self.vision = base.vision
        with tempfile.TemporaryDirectory(prefix="hubkit-tokenizer-") as temporary:
            out = Path(temporary)
            native = base.family.native(base.config, token_ids(base.folder))
            write_native_files(base.folder, out, native, base.family, base.config)
            if not (out / TOKENIZER).is_file():
                raise UsageError(
                    f"{base.folder} has no tokenizer that can be read",
                    "is it a whole download of the model?",
                )
            self._tokenizer = Tokenizer.from_file(str(out / TOKENIZER))
            settings = read_json(out, SETTINGS) if (out / SETTINGS).is_file() else {}
            template = (
                read_text(out, TEMPLATE)
                if (out / TEMPLATE).is_file()
                else settings.get("chat_template")
            )
        if not isinstance(template, str):
            raise UsageError(
                f"{base.folder} has no chat template",
                "take chat_template from the model's own repository",
            )
        self._template = _environment().from_string(template)
        self._tokens = {
            key: _text(value) for key, value in settings.items() if key.endswith("_token")
        }

    def tiles(self, width: int, height: int) -> int:
        return tile_count(width, height, self.vision)

    def count(self, record: Record, tiles: Sequence[int]) -> Counted:
        """With `tiles` for each picture. Image positions are not tokenized but added: thousands of
        equal tokens take long."""
        pictures = [self.vision.tokens_per_tile * number for number in tiles]
        total, answers, turn, asked = 0, [], 0, prompts(record, [0] * len(tiles), self.vision)
        marks = [turn.prompt.count(IMAGE) for turn in record.turns]
        for text, is_answer in segments(self._render, asked, [one.answer for one in record.turns]):
            length = len(self._tokenizer.encode(text, add_special_tokens=False).ids)
            if is_answer:
                answers.append((total, total + length))
                turn += 1
            else:
                done = sum(marks[:turn])
                length += sum(pictures[done : done + marks[turn]])
            total += length
        return total, tuple(answers)

    def _render(self, messages: list[dict[str, str]], speak: bool) -> str:
        return str(
            self._template.render(messages=messages, add_generation_prompt=speak, **self._tokens)
        )


def by_processor(base: Model, records: Sequence[Record]) -> list[Counted]:
    """Of records whose images are below `/`, by the base's own processor, which runs in a worker.

    Raises:
        HubkitError: there is no such processor, or it does not take a record.
    """
    engine: MeasuringEngine = plugins().get("engine", "transformers")
    with tempfile.TemporaryDirectory(prefix="hubkit-processor-") as temporary:
        work = Path(temporary)
        native, out = work / "native", work / "out"
        native.mkdir()
        out.mkdir()
        view = base.family.native(base.config, token_ids(base.folder))
        write_native_files(base.folder, native, view, base.family, base.config)
        write_jsonl(work / "records.jsonl", records)
        job = MeasureInput(native, base.vision, work / "records.jsonl", Path("/"), out, {})
        measured = call(
            engine, "measure", job, environment=CURRENT, run=SilentRun(), folder=work / "worker"
        )
    return [(one.tokens, one.answers) for one in measured.lengths]


@lru_cache(maxsize=1 << 14)
def tile_count(width: int, height: int, vision: Vision) -> int:
    columns, rows = grid(width, height, vision)
    return columns * rows + (vision.thumbnail and columns * rows > 1)


def _environment() -> Any:
    """As transformers makes it (5.23): sandboxed, since a template comes with the model."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise UsageError(
            f"the chat template refuses a record: {message}", "correct the record or the template"
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    return environment


def _text(token: Any) -> str:
    return str(token["content"] if isinstance(token, Mapping) else token or "")


def summary(counted: Sequence[Counted], limit: int) -> Lengths | None:
    """The distribution; None of nothing."""
    if not counted:
        return None
    numbers = sorted(total for total, _ in counted)
    width = max(1, -(-(numbers[-1] + 1) // _BINS))
    bins = [0] * (numbers[-1] // width + 1)
    for number in numbers:
        bins[number // width] += 1
    over = [answers for total, answers in counted if limit and total > limit]
    return Lengths(
        measured=len(numbers),
        least=numbers[0],
        median=numbers[len(numbers) // 2],
        most=numbers[-1],
        bins=tuple((place * width, (place + 1) * width, count) for place, count in enumerate(bins)),
        limit=limit,
        over=len(over),
        unanswered=sum(any(start >= limit for start, _ in answers) for answers in over),
    )
