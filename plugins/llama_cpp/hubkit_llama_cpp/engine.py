"""The engine: asks llama.cpp's own server as its users do, record by record, and continues a file
that a kill left behind."""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict
from time import perf_counter
from typing import Any, ClassVar

from hubkit.sdk import (
    Answer,
    CancelledError,
    DataError,
    GenerateInput,
    GenerateOutput,
    Record,
    Requirements,
    Run,
    ServeInput,
    ServeOutput,
    read_records,
)
from hubkit.sdk.chat_api import ApiFailure, ChatApi
from hubkit.sdk.chat_messages import user_contents
from hubkit.sdk.codec import decode
from hubkit.sdk.files import read_text
from hubkit.sdk.records import kept_answers

from .options import Options

ANSWERS = "answers.jsonl"
_NAME, _TIMEOUT = "model", 3600.0
_MEDIA = re.compile(r"<__media_\w+__>|<__media__>")


class LlamaCppEngine:
    kind: ClassVar[str] = "engine"
    name: ClassVar[str] = "llama_cpp"
    sdk: ClassVar[str] = "1.5"
    requirements: ClassVar[Requirements] = Requirements(
        (("xllamacpp", "2026.10"), ("PIL", "10")), "llama_cpp", "locks"
    )
    Options: ClassVar[type] = Options
    reads: ClassVar[str] = "model"

    def generate(self, job: GenerateInput, run: Run) -> GenerateOutput:
        from importlib.metadata import version

        from .server import start

        options = decode(Options, job.options, "options of engine llama_cpp")
        records = list(read_records(job.records))
        path = job.output / ANSWERS
        done = kept_answers(path, records, 1)
        run.check_cancelled()
        started, key = perf_counter(), secrets.token_urlsafe(24)
        server = start(job.model, options, name=_NAME, key=key)
        api = ChatApi(f"{server.listening_address}/v1", key, _TIMEOUT)
        ready, first = perf_counter(), 0.0
        with path.open("a", encoding="utf-8", newline="\n") as out:
            for number, record in enumerate(records[done:], done + 1):
                run.check_cancelled()
                answer = asdict(_answer(api, record, job))
                out.write(f"{json.dumps(answer, ensure_ascii=False, sort_keys=True)}\n")
                out.flush()
                first = first or perf_counter() - ready
                run.progress(number, len(records), "records")
        total = perf_counter() - ready
        prompt, ids = _first(api, records[0], job) if records else ("", ())
        del server
        return GenerateOutput(
            answers=ANSWERS,
            prompt=prompt,
            prompt_ids=ids,
            template="the GGUF's chat_template",
            versions={"xllamacpp": version("xllamacpp")},
            load_seconds=ready - started,
            first_seconds=first,
            total_seconds=total,
        )

    def serve(self, job: ServeInput, run: Run) -> ServeOutput:
        from .server import start

        options = decode(Options, job.options, "options of engine llama_cpp")
        key = read_text(job.api_key_file).strip() if job.api_key_file else ""
        server = start(job.model, options, name=job.name, key=key, host=job.host, port=job.port)
        run.note(f"{job.name} is served at {server.listening_address}/v1 by llama.cpp")
        try:
            while True:
                run.check_cancelled()
                time.sleep(0.2)
        except CancelledError:
            del server
            return ServeOutput(-1)


def _answer(api: ChatApi, record: Record, job: GenerateInput) -> Answer:
    """The model's own earlier answers are the history. Raises DataError, naming the record."""
    messages: list[dict[str, Any]] = []
    texts, finish = [], []
    for content in user_contents(record, job.images, job.vision, verbatim=_verbatim(job)):
        messages.append({"role": "user", "content": content})
        try:
            said = api.complete(_NAME, messages, job.max_new_tokens)
        except ApiFailure as failure:
            raise DataError(
                f"record {record.id}: llama.cpp does not answer: {failure}",
                "shorten the record, or raise the option context",
            ) from None
        messages.append({"role": "assistant", "content": said.text})
        texts.append(said.text.strip())
        finish.append("stop" if said.finish == "stop" else "length")
    return Answer(record.id, tuple(texts), tuple(finish))


def _verbatim(job: GenerateInput) -> bool:
    """Whether the line break beside a picture is the prompt's: not where the model's own processor
    writes the prompt (see `hubkit.sdk.processing`)."""
    return job.vision.fit != "processor"


def _first(api: ChatApi, record: Record, job: GenerateInput) -> tuple[str, tuple[int, ...]]:
    """The first prompt as llama.cpp renders and tokenizes it, one position for each picture."""
    content = user_contents(record, job.images, job.vision, verbatim=_verbatim(job))[0]
    root = ChatApi(api.url.removesuffix("/v1"), api.key, _TIMEOUT)
    rendered = root.ask("apply-template", {"messages": [{"role": "user", "content": content}]})
    shown = f"{job.vision.start}{job.vision.context}{job.vision.end}"
    prompt = _MEDIA.sub(shown, str(rendered["prompt"]))
    body = {"content": prompt, "add_special": False, "parse_special": True}
    return prompt, tuple(int(number) for number in root.ask("tokenize", body)["tokens"])
