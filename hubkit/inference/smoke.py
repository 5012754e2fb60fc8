"""The smoke test: a model must answer, over the turns of a conversation, before anything is
published."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from ..environments.outputs import discard_worker
from ..errors import EnvironmentFailure, RefusedError
from ..sdk import IMAGE, Answer, Record, Run, Turn
from ..weights.model import Model
from .engines import Compared, can_run, compare, instead
from .prompt_parity import Parity, Sampled
from .questions import Questioning, ask

PROMPTS = ("Describe this picture.", "Answer in one word: what is it?")
"""What a model is asked when nobody says what."""


@dataclass(frozen=True)
class Exchange:
    """One conversation: `questions` and the model's `answers`, turn by turn, about `images`."""

    images: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Smoked:
    """`prompt` is the exact text of the first turn with the image positions shortened to one, of
    the first training record in a release; `parity` says whether the model was trained with it.
    `not_run` is the engine in whose place `engine` was asked; `numbers` are as in GenerateOutput.
    """

    engine: str
    transcript: tuple[Exchange, ...]
    prompt: str
    template: str
    versions: dict[str, str]
    load_seconds: float
    first_seconds: float
    not_run: str = ""
    compared: Compared | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    parity: Parity | None = None


def smoke(
    questioning: Questioning,
    model: Model,
    native: Path,
    out: Path,
    run: Run,
    *,
    sample: Sampled | None = None,
    fallback: str = "",
    compare_with: str = "",
    tolerance: float = 0.0,
) -> Smoked:
    """Asks the model in its `native` view; `sample` first, for its prompt alone.

    Args:
        fallback: the engine asked instead where what is missing is the first one's environment, a
            GPU included.
        compare_with: another engine that is asked the same, `sample` apart.
        tolerance: the share of its greedy answers that may be other texts.

    Raises:
        RefusedError: the prompt is not the one that the model was trained with; an answer is empty,
            endless, repeats itself or holds a special token (with the transcript); or the two
            engines' answers differ.
    """
    try:
        smoked = _asked(questioning, model, native, out, run, sample)
    except EnvironmentFailure as error:
        if not fallback or can_run(questioning):
            raise
        run.note(f"{questioning.engine} cannot run here, so {fallback} is asked: {error.message}")
        other = instead(questioning, fallback)
        smoked = replace(_asked(other, model, native, out, run, sample), not_run=questioning.engine)
    if compare_with not in ("", smoked.engine):
        run.note(f"asking {compare_with} the same")
        other, folder = instead(questioning, compare_with), out / "compared"
        _, answers = ask(other, model, native, folder, run)
        discard_worker(folder)
        texts = _side_by_side(smoked.transcript, answers)
        smoked = replace(smoked, compared=compare(smoked.engine, compare_with, texts, tolerance))
    discard_worker(out)
    return smoked


def _side_by_side(
    transcript: tuple[Exchange, ...], answers: list[Answer]
) -> list[tuple[str, str, str]]:
    return [
        (f"{answer.id}, turn {turn}", mine.strip(), theirs.strip())
        for exchange, answer in zip(transcript, answers, strict=True)
        for turn, (mine, theirs) in enumerate(zip(exchange.answers, answer.texts, strict=True), 1)
    ]


def _asked(
    questioning: Questioning,
    model: Model,
    native: Path,
    out: Path,
    run: Run,
    sample: Sampled | None,
) -> Smoked:
    first = [sample.record] if sample else []
    output, answers = ask(
        replace(questioning, records=[*first, *questioning.records]), model, native, out, run
    )
    parity = sample.compare(questioning.engine, output) if sample else None
    answers = answers[len(first) :]
    pairs = list(zip(questioning.records, answers, strict=True))
    problems = [problem for record, answer in pairs for problem in _problems(record, answer)]
    transcript = tuple(
        Exchange(r.images, tuple(t.prompt for t in r.turns), a.texts) for r, a in pairs
    )
    if problems:
        raise RefusedError(
            "the model did not pass the smoke test:\n"
            + "\n".join(f"  {p}" for p in problems)
            + "\n"
            + show(transcript),
            "look at the training loss and the chat template; nothing was published",
        )
    return Smoked(
        questioning.engine,
        transcript,
        output.prompt,
        output.template,
        dict(output.versions),
        output.load_seconds,
        output.first_seconds,
        numbers=dict(output.numbers),
        parity=parity,
    )


def with_prompts(record: Record, prompts: tuple[str, ...]) -> Record:
    """`record` asked `prompts` instead of its own questions; the images go before the first one, as
    the model was trained."""
    if not prompts:
        return record
    images = "".join("<image>\n" for _ in record.images) if "<image>" not in prompts[0] else ""
    texts = (images + prompts[0], *prompts[1:])
    return replace(record, turns=tuple(Turn(text, "") for text in texts))


def _problems(record: Record, answer: Answer) -> list[str]:
    found = []
    for number, (text, finish) in enumerate(zip(answer.texts, answer.finish, strict=True), 1):
        where = f"{record.id}, turn {number}"
        if not text.strip():
            found.append(f"{where}: the answer is empty")
        elif finish != "stop":
            found.append(f"{where}: the answer did not end: {text[:80]!r}")
        elif _repeats(text):
            found.append(f"{where}: the answer repeats itself: {text[:80]!r}")
        if "<|" in text or "</s>" in text or "<IMG_CONTEXT>" in text:
            found.append(f"{where}: the answer holds special tokens: {text[:80]!r}")
    return found


def _repeats(text: str) -> bool:
    """Four or more times the same run of words at the end: greedy decoding gone round in
    circles."""
    words = text.split()
    return any(
        len(words) >= 4 * n and words[-n:] * 4 == words[-4 * n :]
        for n in range(1, len(words) // 4 + 1)
    )


def show(transcript: tuple[Exchange, ...]) -> str:
    lines = []
    for exchange in transcript:
        lines.append(f"  [{', '.join(exchange.images) or 'no image'}]")
        for question, answer in zip(exchange.questions, exchange.answers, strict=True):
            lines += [
                f"    user:  {question.replace('<image>', '').strip()}",
                f"    model: {answer}",
            ]
    return "\n".join(lines)


def picture_record(picture: Path, prompts: tuple[str, ...]) -> Record:
    """A record that asks `prompts` about the file `picture`, an absolute path; its images are below
    `/`."""
    record = Record(picture.name, (picture.relative_to("/").as_posix(),), (Turn(IMAGE, ""),))
    return with_prompts(record, prompts)


def drawn_picture(path: Path) -> Path:
    """A circle on white, for a model that is asked about any picture at all; written to `path`."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(picture).ellipse((56, 56, 168, 168), outline="black", width=16)
    picture.save(path)
    return path
