"""What the earlier stages found, as the card and the provenance file say it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .. import __version__
from ..evaluation.results import Evaluated
from ..inference.smoke import Smoked
from ..packaging import card
from ..packaging.provenance import Provenance
from ..sdk import IMAGE, CardFacts, ReleaseFile
from ..sdk.codec import encode
from .given_adapter import files_of
from .spec.fields import environment
from .spec.model import Spec
from .stage import Context, Stage
from .stages import evaluate, merge, prepare, smoke, train
from .targets import first_download


def card_facts(context: Context, weights: tuple[ReleaseFile, ...]) -> card.CardInput:
    spec = context.spec
    trained, alone = context.result(train.STAGE), spec.merge.publish == "adapter"
    merged = merge.merged_model(context)
    repository, download = first_place(context)
    return card.CardInput(
        repository=repository,
        tag=spec.tag,
        created=context.workspace.planned(),
        base=card.Base(
            spec.base.name, *license_of(context), relation="adapter" if alone else "finetune"
        ),
        family=_with_adapter(merged.family.card(merged.config), spec.merge.publish, spec.base.name),
        title=spec.card.title,
        summary=spec.card.summary,
        intended_use=spec.card.intended_use,
        limits=spec.card.limits,
        author=_author(spec),
        download=download,
        architecture=merged.family.describe(merged.config).description,
        languages=spec.card.languages,
        datasets=(_dataset(context),),
        training=card.Training(
            "" if spec.train.adapter else spec.train.trainer,
            trained.steps,
            trained.samples,
            trained.trainable_parameters,
            trained.settings,
        ),
        evaluations=context.result(evaluate.STAGE).measures,
        samples=_samples(context),
        outcomes=context.result(evaluate.STAGE).outcomes,
        loss=_loss(context),
        smoke=smoke_facts(context.result(smoke.STAGE)),
        weights=weights,
        lineage=card.Lineage(
            context.base_digest,
            outputs(context, prepare.STAGE).get(prepare.TRAIN, ""),
            _adapter_digest(context),
            versions(context),
        ),
        evaluated_by_server=_unseen(context.result(evaluate.STAGE)),
    )


def _unseen(result: Evaluated) -> bool:
    """Whether the engine could not tell its prompt."""
    return result.parity is not None and not result.parity.asked.text


def first_place(context: Context) -> tuple[str, card.Download | None]:
    """The repository that the card names, and how to download it; without a target that others can
    reach, the release's name alone."""
    targets = [(target.to, target.options) for target in context.spec.publish]
    return first_download(targets) or (context.spec.name, None)


def _author(spec: Spec) -> card.Author | None:
    """None when nobody was named."""
    unnamed = type(spec.author)()
    if spec.author.name == unnamed.name:
        return None
    return card.Author(
        spec.author.name, "" if spec.author.email == unnamed.email else spec.author.email
    )


_ADAPTER = """{words}

```bash
hubkit merge BASE {adapter} MODEL
hubkit convert BASE HF --to hf
```

```python
from peft import PeftModel
from transformers import AutoModelForImageTextToText

base = AutoModelForImageTextToText.from_pretrained("HF")
model = PeftModel.from_pretrained(base, "{adapter}")
```"""
_WORDS = {
    "en": "BASE is a download of `{base}`. The first command writes the whole model to MODEL, in "
    "the base's own layout; the second the base as transformers loads it, for PEFT:",
    "zh": "BASE 是下载下来的 `{base}`。第一条命令以基座自己的格式写出完整的模型 MODEL；"
    "第二条写出 transformers 可直接加载的基座，供 PEFT 使用：",
}
_TITLES = {"en": "Adapter", "zh": "适配器"}


def _with_adapter(family: CardFacts, publish: str, base: str) -> CardFacts:
    """How the adapter is used: instead of the model where it stands alone, else beside it."""
    if publish == "merged":
        return family
    alone = publish == "adapter"
    usage = {
        language: {
            **({} if alone else family.usage_in.get(language, family.usage)),
            title: _ADAPTER.replace("{words}", _WORDS[language])
            .replace("{adapter}", "{repository}" if alone else "{repository}/adapter")
            .replace("{base}", base),
        }
        for language, title in _TITLES.items()
    }
    library = "peft" if alone else family.library_name
    return replace(family, usage=usage["en"], usage_in=usage, library_name=library)


def license_of(context: Context) -> tuple[card.License, str]:
    """The licence of the release and where it was read. Raises UsageError when nothing says it."""
    stated = context.spec.base.license
    return (
        (card.License(stated), "release.yaml")
        if stated
        else card.read_license(context.spec.base.path)
    )


def versions(context: Context) -> dict[str, str]:
    return {"hubkit": __version__, **context.result(smoke.STAGE).versions}


NAMED = "named by the user"


def settings(spec: Spec) -> dict[str, Any]:
    """What release.yaml says of how the release is made: no paths of this machine, and nothing of
    where and how long a stage may run, or how the release is published and read back."""
    made = spec.model_dump(
        mode="json",
        exclude={
            "where": True,
            "author": True,
            "base": {"path"},
            "data": {"path", "images", "holdout_file"},
            "train": {"adapter", "deadline", "where"},
            "merge": {"adapters": {"__all__": {"path"}}},
            "smoke": {"deadline", "where"},
            "evaluate": {"deadline", "processes", "where"},
            "variants": {"__all__": {"deadline": True, "ask": {"deadline", "processes"}}},
            "publish": True,
            "upload": True,
            "verify": True,
            "notify": True,
        },
    )
    for stage in ("train", "smoke", "evaluate"):
        if environment(getattr(spec, stage).environment).python is not None:
            made[stage]["environment"] = NAMED
    for said, entry in zip(made["variants"], spec.variants, strict=True):
        for part, field in ((said, entry.environment), (said["ask"], entry.ask.environment)):
            if environment(field).python is not None:
                part["environment"] = NAMED
            part["options"] = {
                key: NAMED if isinstance(value, str) and value.startswith("/") else value
                for key, value in part["options"].items()
            }
    if not spec.variants:  # releases without any stay the same bytes
        del made["variants"]
    return made


def scores(evaluated: Evaluated) -> dict[str, Any]:
    """What was measured, without what the card alone shows."""
    return {
        k: v for k, v in encode(evaluated).items() if k not in ("samples", "outcomes", "parity")
    }


def provenance(context: Context, weights: dict[str, str]) -> Provenance:
    spec, workspace = context.spec, context.workspace
    evaluated = context.result(evaluate.STAGE)
    return Provenance(
        name=spec.name,
        tag=spec.tag,
        created=workspace.planned(),
        base_name=spec.base.name,
        base=context.base_files,
        data_name=context.spec.data.title,
        data=outputs(context, prepare.STAGE),
        adapter=_adapter(context),
        weights=weights,
        evaluation=scores(evaluated),
        prompts={
            "smoke": encode(context.result(smoke.STAGE).parity),
            "evaluate": encode(evaluated.parity),
        },
        settings=settings(spec),
        tools=versions(context),
    )


def _dataset(context: Context) -> card.Dataset:
    data, prepared = context.spec.data, context.result(prepare.STAGE)
    terms = prepare.dataset_terms(context)
    accepted = {one.term: one.reason for one in data.accept_terms if one.term in terms.restrictions}
    return card.Dataset(
        context.spec.data.title,
        terms,
        prepared.train,
        prepared.holdout,
        accepted=accepted,
        shared=prepared.shared,
    )


def _samples(context: Context) -> tuple[card.Sample, ...]:
    return tuple(
        card.Sample(tuple(context.images / image for image in one.images), one.turns)
        for one in context.result(evaluate.STAGE).samples[: context.spec.card.samples]
    )


def _loss(context: Context) -> tuple[card.LossPoint, ...]:
    metrics = context.folder(train.STAGE) / context.result(train.STAGE).metrics
    rows = (json.loads(line) for line in metrics.read_text("utf-8").splitlines())
    return tuple(
        card.LossPoint(int(row["step"]), float(row["loss"])) for row in rows if "loss" in row
    )


def smoke_facts(result: Smoked) -> card.Smoke:
    first = result.transcript[0]
    turns = tuple(
        card.Exchange(question.replace(IMAGE, "").strip(), answer)
        for question, answer in zip(first.questions, first.answers, strict=True)
    )
    parity = result.parity
    compared = result.compared
    return card.Smoke(
        result.engine,
        turns,
        result.versions,
        result.prompt,
        not_run=result.not_run,
        compared_with=compared.engine if compared else "",
        compared=compared.answers if compared else 0,
        differing=compared.different if compared else 0,
        as_trained=parity.equal if parity else None,
        prompt_differs=parity.declared if parity else "",
        by_server=not result.prompt,
    )


def _adapter(context: Context) -> dict[str, str]:
    """The digests of the adapter's weights and settings; what else lies in its folder goes
    nowhere."""
    folder, written = context.folder(train.STAGE), outputs(context, train.STAGE)
    names = files_of(folder / context.result(train.STAGE).adapter)
    return {name: digest for name, digest in written.items() if folder / name in names}


def _adapter_digest(context: Context) -> str:
    """Of the adapter's largest file: the one that holds its weights."""
    folder = context.folder(train.STAGE)
    adapter = _adapter(context)
    return adapter[max(adapter, key=lambda name: (folder / name).stat().st_size)]


def outputs(context: Context, stage: Stage[Any]) -> dict[str, str]:
    """The digests of the files that `stage` wrote, by name."""
    seal = context.workspace.seal_of(stage.name)
    return dict(seal.outputs) if seal else {}
