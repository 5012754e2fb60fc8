"""Asking models: the same questions to each, through an engine in its worker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environments import Environment, call
from ..environments.outputs import discard_worker, inside
from ..errors import PluginError, RefusedError
from ..registry.plugins import plugins
from ..sdk import (
    Answer,
    GenerateInput,
    GenerateOutput,
    Record,
    Run,
    codec,
    read_answers,
    write_jsonl,
)
from ..weights.convert import native_view
from ..weights.model import Model
from .servers import asks_a_server, server_for
from .shares import SECONDS_BETWEEN_LOOKS, Ask, Given, Nodes, Shares, ask_all, ask_own, gather

QUESTIONS = "questions.jsonl"
BEFORE, AFTER = "before", "after"
"""The names of the base and of the model where the two are compared."""


@dataclass(frozen=True)
class Questioning:
    """How an engine is asked, whatever the model: `records` with their images below `images`,
    within `deadline` seconds. `processes` of the engine answer at once on each of `nodes`, each its
    share."""

    engine: str
    environment: Environment
    options: Mapping[str, Any]
    max_new_tokens: int
    records: Sequence[Record]
    images: Path
    deadline: float | None = None
    processes: int = 1
    nodes: Nodes | None = None

    def shares(self) -> Shares:
        """Batches are of the engine's option `batch_size`, where it has one."""
        options = codec.decode(
            plugins().get("engine", self.engine).Options, self.options, f"{self.engine} options"
        )
        batch = int(getattr(options, "batch_size", 1))
        return Shares(self.records, batch, self.processes, self.nodes or Nodes())


def ask(questioning: Questioning, model: Model, native: Path, out: Path, run: Run) -> Given:
    """Runs the engine in its worker, or in several of them at once; `out` keeps the answers,
    `out/worker` the logs. One answer per record, in order."""
    out.mkdir(parents=True, exist_ok=True)
    with _asking(questioning, model, native) as asking:
        shares = questioning.shares()
        if shares.count == 1:
            gather(shares, out)
            return asking(questioning.records, out, run, {})
        write_jsonl(out / QUESTIONS, questioning.records)
        return ask_all(asking, shares, out, run)


@contextmanager
def _asking(questioning: Questioning, model: Model, native: Path) -> Iterator[Ask]:
    engine = plugins().get("engine", questioning.engine)
    with server_for(questioning.engine, questioning.options) as server:

        def ask_one(
            records: Sequence[Record], out: Path, run: Run, given: Mapping[str, str]
        ) -> Given:
            out.mkdir(parents=True, exist_ok=True)
            path = out / QUESTIONS
            write_jsonl(path, records)
            job = GenerateInput(
                model=model.folder,
                native=native,
                vision=model.vision,
                records=path,
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
                given=given,
            )
            return output, _checked(questioning.engine, output, records, out)

        yield ask_one


def _checked(
    engine: str, output: GenerateOutput, records: Sequence[Record], out: Path
) -> list[Answer]:
    answers = list(read_answers(inside(out, output.answers, f"engine {engine}")))
    if [answer.id for answer in answers] != [record.id for record in records]:
        raise PluginError(
            f"engine {engine} gave {len(answers)} answers to {len(records)} records, or "
            "in another order",
            "report it to the engine's author; `hubkit plugins` names the plugin",
        )
    return answers


def view_for(engine: str, model: Model, view: Path, run: Run) -> Path:
    """The native view of the model, made in `view`; the folder itself for an engine that asks a
    server, or `reads` nothing but the model's own folder."""
    return native_view(model, view, run) if _needs_view(engine) else model.folder


def _needs_view(engine: str) -> bool:
    own = getattr(plugins().get("engine", engine), "reads", "native") == "model"
    return not own and not asks_a_server(engine)


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


def join_each(
    questioning: Questioning, models: Mapping[str, tuple[Model, Path]], place: Path, run: Run
) -> None:
    """What every node but the first does beside `ask_each`, which writes the native views."""
    for name, (model, view) in models.items():
        native = view if _needs_view(questioning.engine) else model.folder
        while not native.exists():
            run.check_cancelled()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        with _asking(questioning, model, native) as asking:
            ask_own(asking, questioning.shares(), place / name, run)
