"""What can be done with folders, without asking a model: assemble, convert, merge, describe,
track."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ..errors import UsageError
from ..packaging import card as cards
from ..packaging.manifest import release_date
from ..packaging.track import Packaged, track_release
from ..pipeline.spec.publishing import Author
from ..registry.plugins import plugins
from ..reporting import SilentReporter
from ..sdk import Run
from ..weights.arithmetic import Rounding
from ..weights.assemble import assemble as assemble_base
from ..weights.convert import ConvertReport, to_native, to_official
from ..weights.merge import MergeReport
from ..weights.model import open_model
from ..weights.relayout import Layout, merge_as

__all__ = ["Author", "assemble", "card", "convert", "merge", "track"]

Folder = str | Path


def merge(
    base: Folder,
    adapter: Folder | Sequence[tuple[Folder, float]],
    out: Folder,
    *,
    rounding: Rounding = "once",
    layout: Layout = "as_base",
    jobs: int = 0,
    reporter: Run | None = None,
) -> MergeReport:
    """Merges `adapter` into `base` and writes a model folder to `out`, which must not exist, in the
    base's own layout; or with `layout` in the official one, or in transformers' own (`hf`).

    Several adapters, each with a weight, are applied in turn. `jobs` threads do the work; 0 means
    one per processor."""
    adapters = [(adapter, 1.0)] if isinstance(adapter, (str, Path)) else adapter
    return merge_as(
        layout,
        open_model(Path(base)),
        [(Path(path), weight) for path, weight in adapters],
        Path(out),
        rounding=rounding,
        jobs=jobs,
        run=reporter or SilentReporter(),
    )


def assemble(
    llm: Folder,
    vision: Folder,
    out: Folder,
    *,
    family: str,
    jobs: int = 0,
    reporter: Run | None = None,
) -> ConvertReport:
    """Writes a base of `family` to `out`, which must not exist, from the folders of a language
    model and a vision tower that were published apart. What connects them starts at random, the
    same each time: train it, or merge an adapter that holds it."""
    chosen = plugins().get("family", family)
    if not hasattr(chosen, "assemble"):
        raise UsageError(f"family {family} cannot be assembled from parts", "download a base of it")
    return assemble_base(
        Path(llm), Path(vision), Path(out), chosen, reporter or SilentReporter(), jobs=jobs
    )


def convert(
    source: Folder,
    out: Folder,
    *,
    to: Literal["hf", "official"],
    like: Folder | None = None,
    jobs: int = 0,
    reporter: Run | None = None,
) -> ConvertReport:
    """Writes a model folder in the other layout to `out`, which must not exist: `hf` is what
    transformers loads without remote code, `official` the layout of the model's own code. No number
    changes.

    `official` takes code, configuration and shards from `like`, an official folder of the same
    model, whose weights may be absent."""
    run = reporter or SilentReporter()
    if to == "hf":
        return to_native(open_model(Path(source)), Path(out), run, jobs=jobs)
    if like is None:
        raise UsageError(
            "the official layout has code and files that SRC does not",
            "name an official folder with --like",
        )
    return to_official(
        Path(source), Path(out), open_model(Path(like)).family, Path(like), run, jobs=jobs
    )


def card(
    folder: Folder,
    *,
    base_name: str,
    name: str = "",
    tag: str = "v1.0.0",
    license: str = "",
    title: str = "",
    summary: str = "",
    languages: Sequence[str] = ("en",),
) -> tuple[str, ...]:
    """Writes README.md and README.zh-CN.md for a model folder from what the folder itself says; the
    paths written.

    A release writes a fuller card: it knows the data, the training and the scores.
    """
    model = open_model(Path(folder))
    stated = (
        (cards.License(license), "the command line")
        if license
        else cards.read_license(model.folder)
    )
    family = model.family.card(model.config)
    facts = cards.CardInput(
        repository=name or model.folder.resolve().name,
        tag=tag,
        created=release_date(),
        base=cards.Base(base_name, *stated, family.relation),
        family=family,
        title=title,
        summary={"": summary} if summary else {},
        architecture=model.family.describe(model.config).description,
        languages=tuple(languages),
    )
    return cards.write_card(model.folder, facts)


def track(
    folder: Folder, *, name: str = "", tag: str = "v1.0.0", author: Author | None = None
) -> Packaged:
    """Makes a model folder ready to push: checked, with .gitattributes and manifest.json, and
    committed with Git LFS pointers.

    Raises:
        RefusedError: the check or the name says no; nothing is staged.
    """
    model, signed = open_model(Path(folder)), author or Author()
    packaged, _ = track_release(
        model.folder,
        model,
        name=name or model.folder.resolve().name,
        tag=tag,
        created=release_date(),
        author_name=signed.name,
        author_email=signed.email,
        digests={},
    )
    return packaged
