"""The Python API: a release from its file, and each step on folders. The CLI calls these and
nothing else."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from . import pipeline
from .digests import FileDigests, of_json
from .errors import UsageError
from .evaluation.results import Evaluated
from .evaluation.samples import check_suffix, write_samples
from .evaluation.score import Answered, check_references, evaluated, score
from .load import load
from .models import Model, open_model
from .packaging import card as cards
from .packaging import manifest
from .pipeline import ReleaseResult, StagePlan
from .registry import plugins
from .reporting import Reporter, SilentReporter
from .resources import templates
from .sdk import IMAGE, Foreseen, Problem, Record, Run, Turn
from .sdk.codec import encode
from .spec import Author, EnvironmentField, Spec, Upload
from .stages import evaluate as evaluation
from .stages import package, prepare, publish
from .stages import smoke as smoking
from .stages import verify as verification
from .stages._workers import Questioning, native_view
from .weights.assemble import assemble as assemble_base
from .weights.check import check as check_folder
from .weights.check import check_adapter
from .weights.check_adapter import is_adapter
from .weights.convert import ConvertReport, to_native, to_official
from .weights.merge import MergeReport
from .weights.merge import merge as merge_weights
from .workspace import release_date

Folder = str | Path


def release(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
    reporter: Reporter | None = None,
) -> ReleaseResult:
    """Runs a release from its file (or a Spec) and returns what it made.

    Args:
        workdir: where `.hubkit/` goes; the release file's folder by default (the current one for a
            Spec).
        overrides: `key=value` items that replace values of the file, such as
            `train.options.rank=8`.
        from_: runs this stage and the later ones even if nothing changed.
        until: stops after this stage.

    Raises:
        HubkitError: with a remedy and the designed exit code; sealed stages stay, and the next call
            continues.
    """
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.release(loaded, place, from_=from_, until=until, reporter=reporter)


def plan(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    from_: str | None = None,
    until: str | None = None,
) -> tuple[StagePlan, ...]:
    """What `release` would do now: each stage's state and why. Changes nothing."""
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.plan(loaded, place, from_=from_, until=until)


def foresee(
    spec: Spec | Folder,
    *,
    workdir: Folder | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Foreseen:
    """Steps, memory and time that the training of a release takes, before anything is trained. The
    data are prepared.

    Raises:
        UsageError: nothing is to be trained, or the trainer cannot tell.
        HubkitError: what is wrong with the data, the options, or the machine.
    """
    loaded, place = _loaded(spec, workdir, overrides)
    return pipeline.foresee(loaded, place, reporter=reporter)


def _loaded(
    spec: Spec | Folder, workdir: Folder | None, overrides: Sequence[str]
) -> tuple[Spec, Path]:
    if isinstance(spec, Spec):
        return spec, Path(workdir or ".").resolve()
    path = Path(spec)
    return load(path, overrides), Path(workdir or path.parent).resolve()


def merge(
    base: Folder,
    adapter: Folder | Sequence[tuple[Folder, float]],
    out: Folder,
    *,
    parity: Literal["none", "xtuner"] = "none",
    jobs: int = 0,
    reporter: Run | None = None,
) -> MergeReport:
    """Merges `adapter` into `base` and writes a model folder in the base's official layout to
    `out`, which must not exist.

    Several adapters, each with a weight, are applied in turn. `jobs` threads do the work; 0 means
    one for each processor."""
    model = open_model(Path(base))
    adapters = [(adapter, 1.0)] if isinstance(adapter, (str, Path)) else adapter
    return merge_weights(
        model.folder,
        [(Path(path), weight) for path, weight in adapters],
        Path(out),
        model.family,
        parity=parity,
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
    is touched.

    `official` takes code, configuration and shards from `like`, an official folder of the same
    model, whose weights may be absent."""
    run = reporter or SilentReporter()
    if to == "hf":
        model = open_model(Path(source))
        return to_native(model.folder, Path(out), model.family, run, jobs=jobs)
    if like is None:
        raise UsageError(
            "the official layout has code and files that SRC does not",
            "name an official folder with --like",
        )
    return to_official(
        Path(source), Path(out), open_model(Path(like)).family, Path(like), run, jobs=jobs
    )


def check(folder: Folder) -> tuple[Problem, ...]:
    """Every problem of a model folder: structure, names and shapes, tokenizer, companion files,
    strays; or of an adapter folder. Empty when sound."""
    if is_adapter(Path(folder)):
        return check_adapter(Path(folder))
    model = open_model(Path(folder))
    return check_folder(model.folder, model.family)


def smoke(
    folder: Folder,
    *,
    images: Sequence[Folder] = (),
    prompts: Sequence[str] = ("Describe this picture.", "Answer in one word: what is it?"),
    engine: str = "transformers",
    environment: EnvironmentField = "current",
    options: Mapping[str, Any] | None = None,
    max_new_tokens: int = 64,
    reporter: Run | None = None,
) -> smoking.Smoked:
    """Asks the model in `folder` each prompt in turn about each image; without images, about a
    drawn one.

    Raises:
        RefusedError: an answer is empty, endless, repeats itself or holds special tokens; the
            transcript is in the message.
    """
    model, run = open_model(Path(folder)), reporter or SilentReporter()
    with tempfile.TemporaryDirectory(prefix="hubkit-smoke-") as temporary:
        work = Path(temporary)
        pictures = [Path(image).resolve() for image in images] or [
            _drawn_picture(work / "drawn.png")
        ]
        records = [_picture_record(picture, tuple(prompts)) for picture in pictures]
        questioning = Questioning(
            engine, environment, options or {}, max_new_tokens, records, Path("/")
        )
        return smoking.smoke(
            questioning, model, native_view(model, work / "native", run), work / "out", run
        )


def _picture_record(picture: Path, prompts: tuple[str, ...]) -> Record:
    if not picture.is_file():
        raise UsageError(f"{picture}: no such image", "correct --image")
    record = Record(picture.name, (picture.relative_to("/").as_posix(),), (Turn(IMAGE, ""),))
    return smoking.with_prompts(record, prompts)


def _drawn_picture(path: Path) -> Path:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (224, 224), "white")
    ImageDraw.Draw(picture).ellipse((56, 56, 168, 168), outline="black", width=16)
    picture.save(path)
    return path


def evaluate(
    folder: Folder,
    data: Folder,
    *,
    images: Folder | None = None,
    baseline: Folder | None = None,
    adapter: str = "llava_json",
    data_options: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = ("exact_match",),
    slices: Sequence[str] = (),
    samples: Folder | None = None,
    engine: str = "transformers",
    environment: EnvironmentField = "current",
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    max_new_tokens: int = 64,
    workdir: Folder | None = None,
    reporter: Run | None = None,
) -> Evaluated:
    """Greedy answers of the model in `folder` (and of `baseline`) to every record of `data`, scored
    by each of `metrics`.

    `slices` are fields of the records' meta to score apart; `samples` a .jsonl or .parquet file for
    one row a record. With `workdir` the answers so far survive a kill: the same call continues.
    """
    run, source = reporter or SilentReporter(), _data_file(Path(data))
    pictures = Path(images) if images else source.parent
    rows = Path(samples) if samples else None
    if rows:
        check_suffix(rows)
    records, digests = prepare.read_checked(adapter, source, pictures, data_options or {}, run)
    records = records[:limit]
    check_references(metrics, records, slices)
    questioning = Questioning(
        engine, environment, options or {}, max_new_tokens, records, pictures.resolve()
    )
    models = {evaluation.BEFORE: open_model(Path(baseline))} if baseline else {}
    models[evaluation.AFTER] = open_model(Path(folder))
    with contextlib.ExitStack() as stack:
        work = (
            _answers_folder(Path(workdir), questioning, models, digests)
            if workdir
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubkit-evaluate-")))
        )
        views = {name: (model, work / f"{name}-native") for name, model in models.items()}
        given = evaluation.ask_each(questioning, views, work, run)
        before = given.get(evaluation.BEFORE)
        answered = Answered(records, given[evaluation.AFTER][1], before and before[1])
        scores = score(metrics, answered)
        if rows:
            write_samples(rows, answered, scores)
        return evaluated(scores, answered, slices)


def _answers_folder(
    workdir: Path, questioning: Questioning, models: Mapping[str, Model], images: Mapping[str, str]
) -> Path:
    """Where the answers to these questions, by these models in this way, are kept."""
    cache = FileDigests(workdir / "digests.json")
    how = (
        questioning.engine,
        questioning.options,
        questioning.environment,
        questioning.max_new_tokens,
    )
    asked = [
        str(how),
        encode(questioning.records),
        images,
        {name: cache.tree(model.folder) for name, model in models.items()},
    ]
    cache.save()
    return workdir / of_json(asked)[:16]


def _data_file(data: Path) -> Path:
    """`data` itself, or the one .json or .jsonl file in a folder."""
    if not data.is_dir():
        return data
    found = sorted(p for p in data.iterdir() if p.suffix in (".json", ".jsonl"))
    if len(found) != 1:
        raise UsageError(
            f"{data} holds {len(found)} .json or .jsonl files; one is expected",
            "name the file with --data",
        )
    return found[0]


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
        summary=summary,
        architecture=model.family.describe(model.config).description,
        languages=tuple(languages),
    )
    return cards.write_card(model.folder, facts)


def track(
    folder: Folder, *, name: str = "", tag: str = "v1.0.0", author: Author | None = None
) -> package.Packaged:
    """Makes a model folder ready to push: .gitattributes, manifest.json, audit, and a commit with
    Git LFS pointers.

    Raises:
        RefusedError: the audit, the structure or the name says no; nothing is staged.
    """
    model = open_model(Path(folder))
    return package.seal_release(
        model.folder,
        model,
        name=name or model.folder.resolve().name,
        tag=tag,
        created=release_date(),
        author=author or Author(),
        digests={},
    )


def push(
    folder: Folder,
    to: str | Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    upload: Upload | None = None,
    reporter: Run | None = None,
) -> publish.Published:
    """Pushes a tracked folder to each `scheme:target`, several at once; safe to repeat. An option
    `hub.key` is for the targets of that hub only. The steps are journaled in
    `folder/.git/hubkit-journal`."""
    targets = [to] if isinstance(to, str) else list(to)
    source, listed = Path(folder), manifest.read(Path(folder))
    destinations = [(target, hub_options(target, options or {})) for target in targets]
    return publish.publish(
        source,
        destinations,
        f"{listed.name} {listed.tag}",
        reporter or SilentReporter(),
        upload=upload or Upload(),
        journals=source / ".git" / "hubkit-journal",
    )


def hub_options(to: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for the hub of one `scheme:target`: those without a dot, and those of the form
    `hub.key` with its name."""
    name = plugins().hub_of(to)[0].name
    general = {key: value for key, value in options.items() if "." not in key}
    return general | {
        key.partition(".")[2]: value
        for key, value in options.items()
        if key.partition(".")[0] == name and "." in key
    }


def verify(
    folder: Folder,
    at: str,
    *,
    revision: str = "",
    deep: bool = False,
    options: Mapping[str, Any] | None = None,
    engine: str = "transformers",
    environment: EnvironmentField = "current",
    reporter: Run | None = None,
) -> verification.VerifiedTarget:
    """Compares what a hub has (at the release's tag, or `revision`) with the folder's manifest;
    `deep` downloads it afresh, hashes every byte, checks the structure and asks the model.

    Raises:
        RemoteError: names every file that is missing, extra or different.
    """
    source, run, given = Path(folder), reporter or SilentReporter(), hub_options(at, options or {})
    at_revision = revision or manifest.read(source).tag
    found = verification.verify(source, at, at_revision, given, run)
    if not deep:
        return found
    with tempfile.TemporaryDirectory(prefix="hubkit-verify-") as temporary:
        work = Path(temporary)
        prompts = ("Describe this picture.", "Answer in one word: what is it?")
        records = [_picture_record(_drawn_picture(work / "drawn.png"), prompts)]
        questioning = Questioning(engine, environment, {}, 64, records, Path("/"))
        return verification.verify_download(source, at, at_revision, given, questioning, work, run)


def init(path: Folder = "release.yaml", *, force: bool = False) -> Path:
    """Writes a commented release.yaml to start from. Raises UsageError when the file is there
    already."""
    target = Path(path)
    if target.exists() and not force:
        raise UsageError(f"{target} exists", "give another path, or --force to replace it")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text((templates("release") / "release.yaml").read_text("utf-8"), "utf-8")
    return target
