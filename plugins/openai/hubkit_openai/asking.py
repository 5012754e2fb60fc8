"""One record asked of the server, turn by turn, with patience."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import (
    Answer,
    DataError,
    EnvironmentFailure,
    GenerateInput,
    HubkitError,
    Record,
    RefusedError,
    RemoteError,
    Run,
    Server,
    UsageError,
)
from hubkit.sdk.chat_api import ApiFailure, ChatApi, Completion
from hubkit.sdk.chat_messages import user_contents
from hubkit.sdk.files import read_text
from hubkit.sdk.retry import TRANSIENT, Patience
from hubkit.sdk.text import one_line

from .options import Options


class Asker:
    """Asks `server` for the model of the folder that `job` names. Safe for several threads."""

    def __init__(self, server: Server, job: GenerateInput, options: Options, run: Run) -> None:
        key = read_text(server.key_file).strip() if server.key_file else ""
        self._api = ChatApi(server.url, key, options.timeout)
        self._job, self._options = job, options
        self._patience = Patience(options.patience, run)
        self.model = options.models.get(job.model.name, job.model.name)

    def owner(self) -> str:
        """Who has the model, in the server's words.

        Raises:
            UsageError: the server does not list it.
        """
        models = self._patiently(self._api.models, "the list of models")
        if self.model not in models:
            names = ", ".join(one_line(name, 80) for name in sorted(models)[:20])
            raise UsageError(
                f"the server has no model {self.model!r}; it lists: {names or 'none'}",
                "serve the model under that name, or say the server's with the option "
                f"models: {{{self._job.model.name}: NAME}}",
            )
        return one_line(models[self.model], 80)

    def answer(self, record: Record) -> Answer:
        """The model's own earlier answers are the history. Raises HubkitError, naming the
        record."""
        verbatim = self._options.line_break == "message"
        images: Path = self._job.images
        messages: list[Any] = []
        texts, finish, tokens = [], [], []
        for content in user_contents(record, images, self._job.vision, verbatim):
            messages.append({"role": "user", "content": content})
            said = self._say(record, messages)
            messages.append({"role": "assistant", "content": said.text})
            texts.append(said.text.strip())
            finish.append(said.finish)
            tokens += [] if said.tokens is None else [said.tokens]
        counts = tuple(tokens) if len(tokens) == len(texts) else ()
        return Answer(record.id, tuple(texts), tuple(finish), counts)

    def _say(self, record: Record, messages: Sequence[Any]) -> Completion:
        where = f"record {record.id}"
        limit = self._job.max_new_tokens
        said: Completion = self._patiently(
            lambda: self._api.complete(self.model, messages, limit), where
        )
        if said.model not in ("", self.model):
            raise RefusedError(
                f"{where}: the server was asked for {self.model!r} and answers as "
                f"{one_line(said.model, 80)!r}",
                "ask a server that has this model; the option `models` gives its name there",
            )
        if said.finish not in ("stop", "length"):
            raise DataError(
                f"{where}: the server ended its answer for the reason "
                f"{one_line(said.finish, 80)!r}, not with the model's own end",
                "turn the server's filters and tools off",
            )
        return said

    def _patiently(self, request: Any, where: str) -> Any:
        attempt = 0
        while True:
            attempt += 1
            try:
                return request()
            except ApiFailure as failure:
                if failure.status and failure.status not in TRANSIENT:
                    raise self._meaning(failure, where) from None
                self._patience.wait(attempt, f"{where}: {failure}", failure.wait)

    def _meaning(self, failure: ApiFailure, where: str) -> HubkitError:
        told, options = f"{where}: {failure}", self._options
        if failure.status in (401, 403):
            return EnvironmentFailure(told, f"put the server's key into {options.key_env}")
        if failure.status in (301, 302, 303, 307, 308):
            return RemoteError(told, f"put the address it was moved to into {options.url_env}")
        if failure.status == 404:
            return UsageError(told, f"correct the address in {options.url_env}")
        return DataError(told, "the server refuses this record: shorten it, or raise its limits")
