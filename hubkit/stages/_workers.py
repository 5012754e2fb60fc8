"""Trainers and engines at work: the native view of a model, and the call into the plugin's
worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environments import Environment, call
from ..errors import PluginError
from ..models import Model
from ..registry import plugins
from ..sdk import Answer, GenerateInput, GenerateOutput, Record, Run, read_answers, write_jsonl
from ..spec import EnvironmentField
from ..workspace import remove


def environment(field: EnvironmentField) -> Environment:
    return Environment.parse(field if isinstance(field, str) else field.model_dump())


def seconds(hours: float | None) -> float | None:
    """A deadline of the release file, in the unit of workers."""
    return None if hours is None else hours * 3600


def native_view(model: Model, place: Path, run: Run) -> Path:
    """The model as transformers loads it, made at `place` unless it is there already."""
    from ..weights.convert import to_native

    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        run.note(f"writing the transformers view of {model.folder.name}")
        to_native(model.folder, place, model.family, run)
    return place


@dataclass(frozen=True)
class Questioning:
    """How an engine is asked, whatever the model: `records` with their images below `images`,
    within `deadline` hours."""

    engine: str
    environment: EnvironmentField
    options: Mapping[str, Any]
    max_new_tokens: int
    records: Sequence[Record]
    images: Path
    deadline: float | None = None


def ask(
    questioning: Questioning, model: Model, native: Path, out: Path, run: Run
) -> tuple[GenerateOutput, list[Answer]]:
    """Runs the engine in its worker; `out` keeps the answers, `out/worker` the logs. One answer per
    record, in order."""
    out.mkdir(parents=True, exist_ok=True)
    records = out / "questions.jsonl"
    write_jsonl(records, questioning.records)
    job = GenerateInput(
        model=model.folder,
        native=native,
        vision=model.vision,
        records=records,
        images=questioning.images,
        output=out,
        max_new_tokens=questioning.max_new_tokens,
        options=questioning.options,
    )
    engine = plugins().get("engine", questioning.engine)
    where = environment(questioning.environment)
    output: GenerateOutput = call(
        engine,
        "generate",
        job,
        environment=where,
        run=run,
        folder=out / "worker",
        deadline=seconds(questioning.deadline),
    )
    answers = list(read_answers(inside(out, output.answers, f"engine {questioning.engine}")))
    asked = [record.id for record in questioning.records]
    if [answer.id for answer in answers] != asked:
        raise PluginError(
            f"engine {questioning.engine} gave {len(answers)} answers to {len(asked)} records, or "
            "in another order",
            "report it to the engine's author; `hubkit plugins` names the plugin",
        )
    return output, answers


def inside(folder: Path, name: str, plugin: str) -> Path:
    """`folder/name`, where `name` is what a plugin says it wrote. Raises PluginError when it is not
    there, or elsewhere."""
    path = folder / name
    if not path.exists() or not path.resolve().is_relative_to(folder.resolve()):
        raise PluginError(
            f"{plugin} says it wrote {name!r}, which is not in its output folder",
            "report it to the plugin's author",
        )
    return path


def discard_worker(out: Path) -> None:
    """A worker's folder holds logs with paths and times; a sealed stage keeps none of it."""
    remove(out / "worker")
