"""The card's front matter: what hubs index, built with huggingface_hub's card classes and checked
here, because their own `validate()` asks the hub."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from hubkit.evaluation.results import Measure, change_in_words, percent
from hubkit.evaluation.wording import title_of
from hubkit.sdk.card_metadata import LANGUAGE, LICENSES, REPOSITORY
from hubkit.sdk.errors import UsageError

from .facts import Base, CardInput, License

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

EVAL_RESULTS = ".eval_results"
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def card_data(facts: CardInput) -> ModelCardData:
    """The metadata of `facts`, in the order in which it is written."""
    from huggingface_hub import ModelCardData

    check(facts)
    base_model = facts.base.name if REPOSITORY.fullmatch(facts.base.name) else None
    return ModelCardData(
        license=hub_license(facts.base.license).id,
        license_name=hub_license(facts.base.license).name or None,
        license_link=hub_license(facts.base.license).link or None,
        base_model=base_model,
        base_model_relation=facts.base.relation if base_model else None,
        pipeline_tag=facts.family.pipeline_tag,
        library_name=facts.family.library_name,
        language=list(facts.languages),
        datasets=[data.name for data in facts.datasets if REPOSITORY.fullmatch(data.name)] or None,
        metrics=sorted({result.metric for result in facts.evaluations}) or None,
        tags=[*facts.family.tags, "hubkit"],
        model_name=facts.name if facts.evaluations else None,
        eval_results=[_result(facts, measure) for measure in facts.evaluations] or None,
        tasks=[facts.family.pipeline_tag],
        frameworks=["pytorch"],
        indexing=_indexing(facts) if facts.evaluations else None,
    )


def model_page(name: str) -> str:
    """Where hubs lead from `base_model` in the metadata; empty for what is no repository."""
    return f"https://huggingface.co/{name}" if _is_repository(name) else ""


def data_page(name: str, url: str = "") -> str:
    """`url`, else where hubs lead from `datasets` in the metadata; empty for what is no
    repository."""
    plain = url if re.fullmatch(r"https://[\w.-]+(/[\w./-]*)?", url, re.ASCII) else ""
    return plain or (f"https://huggingface.co/datasets/{name}" if _is_repository(name) else "")


def _is_repository(name: str) -> bool:
    return "/" in name and REPOSITORY.fullmatch(name) is not None


def hub_license(license: License) -> License:
    """`license` as hubs take it: a known id stands alone, anything else becomes `other` with a
    name."""
    identifier = license.id.lower()
    if identifier in LICENSES and identifier != "other":
        return License(identifier)
    name = license.name or license.id
    return License("other", re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-"), license.link)


def eval_results(facts: CardInput) -> Mapping[str, bytes]:
    """The results as Hugging Face's `.eval_results/*.yaml` has them (huggingface/hub-docs,
    eval_results.yaml): by path, one file for the dataset; none without an evaluation."""
    if not facts.evaluations:
        return {}
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    dataset = _dataset_id(_dataset_name(facts))
    entries = [
        EvalResultEntry(
            dataset, measure.metric, measure.score.value, date=facts.created, notes=_notes(measure)
        )
        for measure in facts.evaluations
    ]
    content = yaml.safe_dump(
        eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True, width=1000
    )
    return {f"{EVAL_RESULTS}/{dataset.rpartition('/')[2]}.yaml": content.encode()}


def _result(facts: CardInput, measure: Measure) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type=facts.family.pipeline_tag,
        dataset_type=_dataset_id(_dataset_name(facts)),
        dataset_name=_dataset_name(facts),
        dataset_split="holdout",
        dataset_args={"samples": measure.count},
        metric_type=measure.metric,
        metric_name=title_of(measure.metric),
        metric_value=measure.score.value,
        metric_args=_numbers_of(measure),
    )


def _indexing(facts: CardInput) -> dict[str, Any]:
    """The results as ModelScope's card metadata has them (`indexing.results`, as in the cards of
    its own models)."""
    metrics = [
        {
            "type": measure.metric,
            "value": measure.score.value,
            "description": _notes(measure),
            "args": "default",
        }
        for measure in facts.evaluations
    ]
    dataset = {
        "name": _dataset_name(facts),
        "type": "image",
        "args": f"{facts.evaluations[0].count} held-out samples",
    }
    return {
        "results": [
            {"task": {"name": facts.family.pipeline_tag}, "dataset": dataset, "metrics": metrics}
        ]
    }


def _numbers_of(measure: Measure) -> dict[str, Any]:
    """What stands beside the score: its interval, and the base's score with the change when it was
    measured."""
    numbers: dict[str, Any] = {"interval_95": [measure.score.low, measure.score.high]}
    if measure.base and measure.change:
        numbers |= {
            "base": measure.base.value,
            "change": measure.change.value,
            "change_interval_95": [measure.change.low, measure.change.high],
        }
    return numbers


def _notes(measure: Measure) -> str:
    parts = [
        f"{measure.count} held-out samples, greedy",
        f"95 % CI {100 * measure.score.low:.1f} to {100 * measure.score.high:.1f}",
    ]
    if measure.base and measure.change:
        parts.append(f"base model {percent(measure.base.value)}: {change_in_words(measure.change)}")
    return "; ".join([*parts, f"hubkit {measure.metric} {measure.version}"])


def _dataset_name(facts: CardInput) -> str:
    return facts.datasets[0].name if facts.datasets else "held-out data"


def _dataset_id(name: str) -> str:
    """`name` where it is a hub's dataset; else a name of the same form."""
    return (
        name
        if REPOSITORY.fullmatch(name)
        else re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "data"
    )


def check(facts: CardInput) -> None:
    """Raises UsageError with everything in `facts` that a hub would refuse or that would mislead a
    reader."""
    names = identity_problems(
        facts.repository, facts.base, [data.name for data in facts.datasets], facts.languages
    )
    problems = [*names, *_family(facts), *_numbers(facts)]
    if problems:
        raise UsageError(
            "the model card cannot be written:\n" + "\n".join(f"  {p}" for p in problems),
            "correct them in release.yaml",
        )


def identity_problems(
    repository: str, base: Base, datasets: Sequence[str], languages: Sequence[str]
) -> list[str]:
    """What is wrong with the names, the licence and the languages of a card; all known before any
    work is done."""
    problems = []
    if not REPOSITORY.fullmatch(repository):
        problems.append(f"repository {repository!r} is not of the form organisation/name or name")
    for what, name in [("base.name", base.name), *(("data.name", name) for name in datasets)]:
        if (
            not name.strip()
            or name.startswith(("/", "~", ".", "\\"))
            or name.count("/") > 1
            or re.match(r"\w:", name)
        ):
            problems.append(f"{what} {name!r} is a path; a card names a repository")
    if base.license.id.lower() in ("", "unknown"):
        problems.append("base.license is empty")
    problems += [
        f"card.languages: {code!r} is not an ISO 639 code"
        for code in languages
        if not LANGUAGE.fullmatch(code)
    ]
    return problems


def _family(facts: CardInput) -> list[str]:
    problems = []
    try:
        datetime.date.fromisoformat(facts.date)
    except ValueError:
        problems.append(f"created {facts.created!r} is not a date of the form 2026-01-31")
    for what, value in (
        ("pipeline tag", facts.family.pipeline_tag),
        ("library name", facts.family.library_name),
    ):
        if not _SLUG.fullmatch(value):
            problems.append(f"the family's {what} {value!r} is not of the form image-text-to-text")
    return problems


def _numbers(facts: CardInput) -> list[str]:
    problems = []
    for result in facts.evaluations:
        scores = [
            interval
            for interval in (result.score, result.base, result.change)
            if interval is not None
        ]
        if result.count < 1 or not all(
            math.isfinite(n) for one in scores for n in (one.value, one.low, one.high)
        ):
            problems.append(
                f"evaluation {result.metric}: needs at least one record and finite scores"
            )
        counts = [count for count in (result.right, result.base_right) if count is not None]
        if any(not 0 <= count <= result.count for count in counts):
            problems.append(
                f"evaluation {result.metric}: more right answers than the {result.count} records"
            )
    for file in facts.weights:
        path = PurePosixPath(file.path)
        if (
            path.is_absolute()
            or ".." in path.parts
            or not re.fullmatch(r"[\w./-]+", file.path, re.ASCII)
        ):
            problems.append(f"weights file {file.path!r} is not a plain relative path")
        if not _DIGEST.fullmatch(file.sha256):
            problems.append(f"weights file {file.path}: {file.sha256!r} is not a sha256 digest")
    return problems
