"""A variant beside the merged model: it must load, answer, and score as the merged model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..environments.outputs import discard_worker
from ..evaluation.gates import refuse_unlike
from ..evaluation.judging import Answered, score
from ..evaluation.results import Evaluated
from ..evaluation.samples import write_samples
from ..evaluation.score import evaluated
from ..files.disk import remove
from ..inference.prompt_parity import Sampled
from ..inference.questions import Questioning, ask, view_for
from ..inference.smoke import Smoked, smoke
from ..sdk import Answer, Record, Run
from ..weights.model import Model
from ..weights.stream import WrittenFile

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Judged:
    """`evaluated` has the merged model as its base; `same` of its records have the merged model's
    texts, word for word."""

    smoked: Smoked
    evaluated: Evaluated
    same: int


@dataclass(frozen=True)
class Variant:
    """What an exporter made of the merged model, with what was found of it."""

    name: str
    exporter: str
    files: tuple[WrittenFile, ...]
    judged: Judged
    versions: Mapping[str, str]
    usage: Mapping[str, str] = field(default_factory=dict)
    library: str = ""


@dataclass(frozen=True)
class Standard:
    """What a variant is held to: the merged model's `answers` to held-out `records`, the `sample`
    whose prompt is compared, `metrics`, `slices` and the gates."""

    records: Sequence[Record]
    answers: Sequence[Answer]
    sample: Sampled
    metrics: Sequence[str]
    slices: Sequence[str]
    require: Mapping[str, str]


def judge(
    variant: Model,
    smoking: Questioning,
    asking: Questioning,
    standard: Standard,
    out: Path,
    scratch: Path,
    run: Run,
) -> Judged:
    """Asks the model in the folder of `variant`: first as the smoke test does (`smoking`), then
    (`asking`, whose records are the sample and those of `standard`) on the held-out records.
    `scratch` keeps the answers so far: killed, the same call continues.

    Raises:
        RefusedError: it does not answer, is asked with another prompt than the one of the training,
            or is further from the merged model than the gates allow.
    """
    view = view_for(smoking.engine, variant, out / "native", run)
    smoked = smoke(smoking, variant, view, out / "smoke", run, sample=standard.sample)
    output, answers = ask(asking, variant, view, scratch, run)
    discard_worker(scratch)
    remove(out / "native")
    parity = standard.sample.compare(asking.engine, output)
    answered = Answered(standard.records, answers[1:], standard.answers)
    scores = score(standard.metrics, answered)
    result = replace(evaluated(scores, answered, standard.slices), parity=parity)
    pairs = zip(answered.answers, standard.answers, strict=True)
    same = sum(mine.texts == theirs.texts for mine, theirs in pairs)
    refuse_unlike(result, same, standard.require)
    write_samples(out / SAMPLES, answered, scores)
    return Judged(smoked, result, same)
