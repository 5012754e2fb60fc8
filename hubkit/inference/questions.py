"""Asking models: the same questions to each, through an engine in its worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environments import Environment, call
from ..environments.outputs import discard_worker, inside
from ..errors import PluginError, RefusedError
from ..registry.plugins import plugins
from ..sdk import Answer, GenerateInput, GenerateOutput, Record, Run, read_answers, write_jsonl
from ..weights.convert import native_view
from ..weights.model import Model
from .servers import asks_a_server, server_for

BEFORE, AFTER = "before", "after"
"""The names of the base and of the model where the two are compared."""

Given = tuple[GenerateOutput, list[Answer]]
"""What an engine says of its work, and one answer per record, in their order."""


@dataclass(frozen=True)
class Questioning:
    """How an engine is asked, whatever the model: `records` with their images below `images`,
    within `deadline` seconds."""

    engine: str
    environment: Environment
    options: Mapping[str, Any]
    max_new_tokens: int
    records: Sequence[Record]
    images: Path
    deadline: float | None = None


def ask(questioning: Questioning, model: Model, native: Path, out: Path, run: Run) -> Given:
    """Runs the engine in its worker; `out` keeps the answers, `out/worker` the logs. One answer per
    record, in order."""
    out.mkdir(parents=True, exist_ok=True)
    records = out / "questions.jsonl"
    write_jsonl(records, questioning.records)
    engine = plugins().get("engine", questioning.engine)
    with server_for(questioning.engine, questioning.options) as server:
        job = GenerateInput(
            model=model.folder,
            native=native,
            vision=model.vision,
            records=records,
            images=questioning.images,
            output=out,
            max_new_tokens=questioning.max_new_tokens,
            options=questioning.options,
            server=server,
        )
        output: GenerateOutput = call(
            engine,
            "generate",
            job,
            environment=questioning.environment,
            run=run,
            folder=out / "worker",
            deadline=questioning.deadline,
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


def view_for(engine: str, model: Model, view: Path, run: Run) -> Path:
    """The native view of the model, made in `view`; the folder itself for an engine that asks a
    server, or `reads` nothing but the model's own folder."""
    own = getattr(plugins().get("engine", engine), "reads", "native") == "model"
    return model.folder if own or asks_a_server(engine) else native_view(model, view, run)


def ask_each(
    questioning: Questioning, models: Mapping[str, tuple[Model, Path]], place: Path, run: Run
) -> dict[str, Given]:
    """Asks each model, given by name with the place of its native view. The answers so far are kept
    in `place`/name: killed, the same call continues.

    Raises:
        RefusedError: the models are asked with different prompts, so their scores cannot be
            compared.
    """
    given = {}
    for name, (model, view) in models.items():
        run.note(f"asking {model.folder.name}")
        native = view_for(questioning.engine, model, view, run)
        given[name] = ask(questioning, model, native, place / name, run)
        discard_worker(place / name)
    if len({(one.prompt, one.prompt_ids, one.inputs) for one, _ in given.values()}) > 1:
        shown = "".join(
            f"\n  {models[name][0].folder.name}: {output.prompt!r}"
            for name, (output, _) in given.items()
        )
        raise RefusedError(
            "the models are asked with different prompts, which says nothing of what was "
            f"learnt:{shown}",
            "give the model and its base the same tokenizer files and chat template",
        )
    return given
