"""Facts to files: README.md, README.zh-CN.md, the pictures under assets/ and the results under
.eval_results/."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.evaluation.wording import rule_of
from hubkit.resources import templates
from hubkit.sdk.errors import UsageError

from .citation import citation
from .facts import CardInput, Words
from .languages import PAGES
from .markdown import FILTERS
from .metadata import (
    EVAL_RESULTS,
    card_data,
    data_page,
    eval_results,
    hub_license,
    model_page,
)

if TYPE_CHECKING:
    from jinja2 import Environment

_LOSS = "assets/loss.png"
_SCORES = "assets/scores.png"
_SAMPLES = "assets/samples"


def write_card(folder: Path, facts: CardInput) -> tuple[str, ...]:
    """Writes the card of `facts` into the release folder and returns the paths written, relative
    and sorted. Pictures that an earlier card left in assets/samples/ and that this one does not
    have are removed; nothing is written on an error.

    Raises:
        UsageError: the facts do not make a valid card.
        DataError: a sample picture cannot be read.
    """
    for part in (folder / "assets", folder / _SAMPLES, folder / EVAL_RESULTS):
        if part.is_symlink():
            raise UsageError(
                f"{part.relative_to(folder)} is a link to another place",
                "replace it by a folder of its own",
            )
    files = render_card(facts)
    for path, content in files.items():
        _replace(folder / path, content)
    for stale in (
        *(folder / _SAMPLES).glob("[0-9][0-9]*.png"),
        *(folder / EVAL_RESULTS).glob("*.yaml"),
    ):
        if stale.relative_to(folder).as_posix() not in files:
            stale.unlink()
    return tuple(sorted(files))


def render_card(facts: CardInput) -> Mapping[str, bytes]:
    """The card's files by their path in the release folder. The same facts give the same bytes."""
    from huggingface_hub import ModelCard

    from .figures import loss_png, sample_png, scores_png

    header = card_data(facts).to_yaml(line_break="\n")
    pictures = tuple(
        tuple(
            f"{_SAMPLES}/{number:02d}{f'-{n}' if n > 1 else ''}.png"
            for n in range(1, len(sample.pictures) + 1)
        )
        for number, sample in enumerate(facts.samples, 1)
    )
    files = {
        name: sample_png(picture)
        for names, sample in zip(pictures, facts.samples, strict=True)
        for name, picture in zip(names, sample.pictures, strict=True)
    }
    if len(facts.loss) > 1:
        files[_LOSS] = loss_png(facts.loss)
    if any(measure.base for measure in facts.evaluations):
        files[_SCORES] = scores_png(facts.evaluations)
    files |= eval_results(facts)
    environment = _environment()
    for page, language in PAGES.items():
        template = environment.get_template(f"{language}.md.j2")
        body = template.render(_values(facts, pictures, language), rules=_rules(facts, language))
        if page == "README.md":
            body = str(ModelCard(f"---\n{header}\n---\n\n{body}"))
        files[page] = body.encode()
    return files


def _values(
    facts: CardInput, pictures: tuple[tuple[str, ...], ...], language: str
) -> dict[str, object]:
    usage = {
        title: snippet.replace("{repository}", facts.name).strip()
        for title, snippet in facts.family.usage_in.get(language, facts.family.usage).items()
    }
    return {
        "card": facts,
        "summary": _in(language, facts.summary),
        "intended_use": _in(language, facts.intended_use),
        "limits": _in(language, facts.limits),
        "family_limits": facts.family.limits_in.get(language, facts.family.limits),
        "citation": citation(facts),
        "base_page": model_page(facts.base.name) if facts.base.page is None else facts.base.page,
        "form_pages": {
            form.name: form.download.page if form.download else "" for form in facts.forms
        },
        "data_pages": {data.name: data_page(data.name, data.terms.url) for data in facts.datasets},
        "weight_bytes": sum(file.size for file in facts.weights if not _in_form(facts, file.path)),
        "license": hub_license(facts.base.license),
        "usage": usage,
        "gallery": tuple(zip(pictures, facts.samples, strict=True)),
        "loss_picture": _LOSS if len(facts.loss) > 1 else "",
        "scores_picture": _SCORES if any(measure.base for measure in facts.evaluations) else "",
        "slices": [(measure, one) for measure in facts.evaluations for one in measure.slices],
    }


def _in_form(facts: CardInput, path: str) -> bool:
    return any(form.folder and path.startswith(f"{form.folder}/") for form in facts.forms)


def _in(language: str, words: Words) -> str:
    """The text for a page: its own, else the one for every page."""
    return words.get(language, words.get("", ""))


def _rules(facts: CardInput, language: str) -> dict[str, str]:
    """When an answer counts, by metric; without those that do not say it in this language."""
    found = {one.metric: rule_of(one.metric, language) for one in facts.evaluations}
    return {metric: rule for metric, rule in found.items() if rule}


def _environment() -> Environment:
    """Jinja that refuses undefined names. Autoescape would be for HTML only: each expression names
    its filter instead."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates("model_card")),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    environment.filters["markdown"] = (
        str  # for Markdown from the family plugin and for paths made here
    )
    return environment


def _replace(path: Path, content: bytes) -> None:
    """Writes through a temporary name, so that a file linked from elsewhere is replaced and not
    changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
