"""Is a model asked with the prompt that it was trained with? The exact text and token ids of one
sample, compared.

A model that is served with another system line, another separator or other special tokens than in
training answers badly, and nothing says so. The trainer tells the prompt of the first training
record; each engine is asked the same record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..digests import of_json
from ..errors import RefusedError
from ..sdk import IMAGE, GenerateOutput, Record, TrainOutput
from ..sdk.codec import encode

_AROUND = 30
_ONE_TEMPLATE = (
    "use one chat template for both: the base's tokenizer_config.json, and no template by name"
)
_ONE_PROCESSOR = (
    "run trainer and engine in one environment, or with one version of transformers and Pillow"
)


@dataclass(frozen=True)
class Prompt:
    """`text` and its token `ids`, image positions shortened to one; `by` names the plugin that made
    it. `inputs` is the digest of all that the model is given for it, where its own processor
    arranges the pictures."""

    by: str
    text: str
    ids: tuple[int, ...] = ()
    inputs: str = ""


@dataclass(frozen=True)
class Parity:
    """`record` is the sample's id. `equal` is None when the trainer does not tell its prompt, or
    the engine cannot: it asks a server, and `asked` is empty.
    `difference` says where the two part, and `declared` why the release file says they may."""

    record: str
    trained: Prompt | None
    asked: Prompt
    equal: bool | None
    difference: str = ""
    declared: str = ""


@dataclass(frozen=True)
class Sampled:
    """The sample: what engines are asked, what the trainer made of it, and
    `smoke.prompt_differs`."""

    record: Record
    trained: Prompt | None
    declared: str = ""

    @property
    def digest(self) -> str:
        return of_json(encode(self))

    def compare(self, engine: str, output: GenerateOutput) -> Parity:
        """`output` is what `engine` gave when this record was its first.

        Raises:
            RefusedError: the prompts differ and nothing declares it; shows both from where they
                part.
        """
        asked = Prompt(engine, output.prompt, output.prompt_ids, output.inputs)
        if self.trained is None or not asked.text:
            return Parity(self.record.id, self.trained, asked, None)
        where = difference(self.trained, asked)
        if where and not self.declared:
            alike = (self.trained.text, self.trained.ids) == (asked.text, asked.ids)
            raise RefusedError(
                "the model is not asked with the prompt that it was trained with (training record "
                f"{self.record.id}): {where}",
                f"{_ONE_PROCESSOR if alike else _ONE_TEMPLATE}; if they must differ, say why in "
                "`smoke.prompt_differs`",
            )
        return Parity(
            self.record.id, self.trained, asked, not where, where, self.declared if where else ""
        )


def sample(record: Record, trainer: str, trained: TrainOutput, declared: str) -> Sampled:
    """The first turn of the first training record, as the trainer `trained` on it."""
    turn = record.turns[0]
    asked = replace(record, images=record.images[: turn.prompt.count(IMAGE)], turns=(turn,))
    prompt = Prompt(trainer, trained.prompt, trained.prompt_ids, trained.inputs)
    return Sampled(asked, prompt if trained.prompt else None, declared)


def difference(trained: Prompt, asked: Prompt) -> str:
    """Where two prompts part, in words, with both from there on; empty when they are equal. Ids and
    digests that one of them does not tell are not compared."""
    if trained.text != asked.text:
        at = _first(trained.text, asked.text)
        start = max(0, at - _AROUND)
        shown = [
            _shown(prompt.text[start : at + 2 * _AROUND], start) for prompt in (trained, asked)
        ]
        return (
            f"they part at character {at + 1}:\n  trained by {trained.by}: {shown[0]}\n  "
            f"asked by {asked.by}: {shown[1]}\n"
            f"  in full, trained: {trained.text!r}\n  in full, asked: {asked.text!r}"
        )
    if trained.ids and asked.ids and trained.ids != asked.ids:
        at = _first(trained.ids, asked.ids)
        ids = [f"{list(prompt.ids[max(0, at - 3) : at + 5])}" for prompt in (trained, asked)]
        return (
            f"the text is the same, the token ids part at number {at + 1}:\n"
            f"  trained by {trained.by}: {ids[0]}\n  asked by {asked.by}: {ids[1]}\n  "
            f"text: {trained.text!r}"
        )
    if trained.inputs and asked.inputs and trained.inputs != asked.inputs:
        return (
            "text and token ids are the same, what the model's processor makes of the pictures is "
            f"not: {trained.by} and {asked.by} run another version of it, or another processor"
        )
    return ""


def _first(one: Sequence[object], other: Sequence[object]) -> int:
    """The first place where they differ."""
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _shown(text: str, start: int) -> str:
    return f"{'…' if start else ''}{text!r}"
