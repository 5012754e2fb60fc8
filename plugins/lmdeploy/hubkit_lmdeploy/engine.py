"""The engine: loads once, answers in batches, writes each batch at once, and continues a file that
a kill left behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

from hubkit.sdk import (
    DataError,
    GenerateInput,
    GenerateOutput,
    Record,
    Requirements,
    Run,
    ServeInput,
    ServeOutput,
    json_text,
    open_picture,
    read_records,
    stop_ids,
    token_ids,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.records import kept_answers

from .asking import Asker, Question
from .loading import architecture
from .messages import UNMARKED, shortened
from .options import Options

ANSWERS = "answers.jsonl"


class LmdeployEngine:
    kind: ClassVar[str] = "engine"
    name: ClassVar[str] = "lmdeploy"
    sdk: ClassVar[str] = "1.1"
    requirements: ClassVar[Requirements] = Requirements(
        (("torch", "2.4"), ("transformers", "4.56"), ("lmdeploy", "0.18")),
        "lmdeploy",
        "locks",
        "hubkit_lmdeploy.probe:gpu",
    )
    Options: ClassVar[type] = Options

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        from .loading import beside, load, prepare, template_name

        options = decode(Options, job.options, "options of engine lmdeploy")
        backend, free, started = prepare(job.model, options), free_memory(), perf_counter()
        with beside(job.model, options) as name:
            pipe = load(name, backend, options)
            try:
                loaded = perf_counter() - started
                template = template_name(pipe.async_engine.chat_template)
                asked = ask(pipe, job, options, run)
                numbers = {**asked.numbers, **memory_taken(free)}
            finally:
                pipe.close()
        return GenerateOutput(
            answers=ANSWERS,
            prompt=asked.prompt,
            template=template,
            versions=_versions(backend),
            load_seconds=loaded,
            first_seconds=asked.first_seconds,
            total_seconds=perf_counter() - started - loaded,
            prompt_ids=asked.prompt_ids,
            numbers=numbers,
        )

    def serve(self, job: ServeInput, run: Run) -> ServeOutput:
        from .serving import serve

        return serve(job, decode(Options, job.options, "options of engine lmdeploy"), run)


@dataclass(frozen=True)
class Asked:
    """As in GenerateOutput."""

    prompt: str = ""
    prompt_ids: tuple[int, ...] = ()
    first_seconds: float = 0.0
    numbers: Mapping[str, float] = field(default_factory=dict)


def ask(pipe: Any, job: GenerateInput, options: Options, run: Run) -> Asked:
    """Rehearses the first record, then answers all, whole batches at a time."""
    records, path = list(read_records(job.records)), job.output / ANSWERS
    done = kept_answers(path, records, options.batch_size)
    config, generation = (
        json_text.load(job.model / f"{name}.json") for name in ("config", "generation_config")
    )
    context, marks = (
        token_ids(job.model).get(job.vision.context, -1),
        architecture(config) not in UNMARKED,
    )
    asker = Asker(pipe, job.vision, stop_ids(generation), job.max_new_tokens, context, marks)
    started, asked = perf_counter(), Asked()
    if records:
        sent, numbers = asker.rehearse(question(records[0], job.images))
        asked = Asked(sent.prompt, shortened(sent.ids, context), perf_counter() - started, numbers)
    with path.open("a", encoding="utf-8", newline="\n") as out:
        for start in range(done, len(records), options.batch_size):
            run.check_cancelled()
            batch = [
                question(record, job.images)
                for record in records[start : start + options.batch_size]
            ]
            answers = asker.answer(batch)
            out.writelines(
                json.dumps(asdict(answer), ensure_ascii=False, sort_keys=True) + "\n"
                for answer in answers
            )
            out.flush()
            run.progress(start + len(batch), len(records), "records")
    return asked


def question(record: Record, images: Path) -> Question:
    """Raises DataError for a picture that cannot be read."""
    pictures = []
    for name in record.images:
        try:
            with open_picture(images / name) as picture:
                pictures.append(picture.rgb())
        except (OSError, ValueError) as error:
            raise DataError(
                f"record {record.id}: {name} is not a picture that can be read ({error})",
                "replace the file",
            ) from None
    return Question(record, tuple(pictures))


def free_memory() -> int:
    """Of all GPUs that are visible, in bytes. LMDeploy allocates outside torch, so torch cannot say
    what it uses."""
    import torch

    return sum(torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count()))


def memory_taken(before: int) -> dict[str, float]:
    """What was free `before` and is not now, the reserve for keys and values included; nothing
    where others freed more."""
    taken = before - free_memory()
    return {"peak_memory_bytes": float(taken)} if taken > 0 else {}


def _versions(backend: str) -> dict[str, str]:
    import platform
    from importlib.metadata import version

    packages = {name: version(name) for name in ("torch", "transformers", "lmdeploy")}
    return {"python": platform.python_version(), **packages, "lmdeploy backend": backend}
