"""`hubkit prepare --generate`: questions and answers about a folder of pictures, asked of a vision
endpoint, to be reviewed."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text
from hubkit.sdk.files import read_text

from ..digests import of_json
from ..errors import DataError, RemoteError, UsageError
from ..reporting import SilentReporter
from ..resources import templates
from ..sdk import IMAGE, Record, Run, Terms, Turn
from ..sdk.codec import encode
from .endpoint import Client, Endpoint
from .output import fresh_folder, llava_line
from .pictures import Picture, examine
from .report import replace_text, thumbnail
from .terms import NAME, NOTE

__all__ = ["Endpoint", "Generated", "Making", "generate"]

TRAIN, REVIEW, JOURNAL = "train.jsonl", "review.html", "journal.jsonl"
_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.S)
_LONGEST = 4000
_SHOWN = 2000
_PAUSE = 1.0


@dataclass(frozen=True)
class Making:
    """`rounds` questions a picture; `template` is a Jinja file that gets `rounds` and the picture's
    `name`. An unsound reply is asked for again, `attempts` times in all. `max_requests` and
    `max_tokens` (prompts and replies together) end the work early; `reply_tokens` limits one reply.
    """

    rounds: int = 3
    template: Path | None = None
    concurrency: int = 4
    max_requests: int | None = None
    max_tokens: int | None = None
    attempts: int = 3
    reply_tokens: int = 1024


@dataclass(frozen=True)
class Generated:
    """`requests` and `tokens` of this run; `failed` says why there is no record of a picture;
    `ended` is the limit that ended the work early, empty when it is complete."""

    folder: Path
    images: int
    records: int
    requests: int
    tokens: int
    failed: Mapping[str, str]
    ended: str


def generate(
    images: str | Path,
    out: str | Path,
    endpoint: Endpoint,
    making: Making | None = None,
    *,
    reporter: Run | None = None,
) -> Generated:
    """Writes train.jsonl, a review sheet, the journal and dataset.json to `out`. Interrupted or
    ended by a limit, the same call continues: what was asked already is not asked again.

    Raises:
        DataError: there is no picture.
        UsageError: `out` holds something else; the endpoint refuses the request, or serves several
            models.
        RemoteError: the endpoint is not reachable.
    """
    work = _Work(
        Path(images), Path(out), endpoint, making or Making(), reporter or SilentReporter()
    )
    work.ask_all()
    return work.finish()


class _Limit(Exception):
    """A limit is reached; its name."""


class _Work:
    def __init__(
        self, images: Path, out: Path, endpoint: Endpoint, making: Making, run: Run
    ) -> None:
        self.images, self.out, self.making, self.run = images, out, making, run
        self.names = _pictures(images)
        self.template = _template(making.template)
        self.client = Client(endpoint)
        self.journal = out.with_name(f"{out.name}.{JOURNAL}")
        _take_up(out, self.journal)
        self.model = self.client.model()
        self.settings = of_json([self.model, self.template, making.rounds, making.reply_tokens])
        self.done = self._read_journal()
        self.failed: dict[str, str] = {}
        self.requests = self.tokens = 0
        self.ended = ""
        self._lock = threading.Lock()

    def ask_all(self) -> None:
        """Asks about every picture that has no sound answer yet, several at once, until a limit or
        a failure of the endpoint."""
        waiting = [name for name in self.names if name not in self.done]
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(self.making.concurrency) as pool:
            try:
                while (waiting and not self.ended) or running:
                    self.run.check_cancelled()
                    while waiting and not self.ended and len(running) < self.making.concurrency:
                        name = waiting.pop(0)
                        running[pool.submit(self._ask, name)] = name
                    finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                    for future in finished:
                        self._settle(future, running.pop(future))
                    self.run.progress(len(self.done), len(self.names), "images", tokens=self.tokens)
            except BaseException:
                self.ended = "failed"
                raise

    def _settle(self, future: Future[None], name: str) -> None:
        try:
            future.result()
        except _Limit as limit:
            self.ended = self.ended or str(limit)
        except DataError as error:
            self.failed[name] = error.message

    def _ask(self, name: str) -> None:
        path = self.images / name
        picture = examine(path)
        if isinstance(picture, str):
            raise DataError(picture, "replace the picture")
        asked = prompt = self.template_for(name)
        problem = ""
        for attempt in range(self.making.attempts):
            if attempt:
                threading.Event().wait(_PAUSE * attempt)
            self._reserve()
            try:
                reply = self.client.chat(
                    self.model,
                    asked,
                    path.read_bytes(),
                    picture.format.lower(),
                    self.making.reply_tokens,
                )
            except RemoteError as error:
                if attempt + 1 == self.making.attempts:
                    raise
                problem = error.message
                continue
            with self._lock:
                self.tokens += reply.tokens
            rounds, problem = parse(reply.text, self.making.rounds)
            if not problem:
                return self._keep(name, picture, rounds)
            asked = (
                f"{prompt}\n\nYour last reply could not be used: {problem}. Reply with the "
                "JSON alone."
            )
        raise DataError(
            f"no sound reply in {self.making.attempts} attempts: {problem}",
            "try another model or template",
        )

    def template_for(self, name: str) -> str:
        return _rendered(self.template, self.making.rounds, name)

    def _reserve(self) -> None:
        """One request of the budget. Raises _Limit when it is spent."""
        making = self.making
        with self._lock:
            if self.ended:
                raise _Limit(self.ended)
            if making.max_requests is not None and self.requests >= making.max_requests:
                raise _Limit("max_requests")
            if making.max_tokens is not None and self.tokens >= making.max_tokens:
                raise _Limit("max_tokens")
            self.requests += 1

    def _keep(self, name: str, picture: Picture, rounds: list[tuple[str, str]]) -> None:
        entry = {
            "image": name,
            "sha256": picture.sha256,
            "settings": self.settings,
            "rounds": rounds,
        }
        with self._lock:
            self.done[name] = rounds
            with self.journal.open("a", encoding="utf-8") as out:
                out.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _read_journal(self) -> dict[str, list[tuple[str, str]]]:
        """Answers of an earlier run with the same model, template and number of rounds. A line that
        a kill cut is dropped."""
        done: dict[str, list[tuple[str, str]]] = {}
        wanted, whole = set(self.names), []
        for line in read_text(self.journal).splitlines() if self.journal.exists() else ():
            try:
                entry = json_text.parse(line)
                name, rounds = (
                    entry["image"],
                    [(question, answer) for question, answer in entry["rounds"]],
                )
            except (ValueError, KeyError, TypeError):
                continue
            whole.append(line)
            found = (
                examine(self.images / name)
                if entry["settings"] == self.settings and name in wanted
                else ""
            )
            if isinstance(found, Picture) and found.sha256 == entry["sha256"]:
                done[name] = rounds
        if whole:
            replace_text(self.journal, "".join(f"{line}\n" for line in whole))
        return done

    def finish(self) -> Generated:
        """The records so far, in the order of the pictures' names, with all that belongs to
        them."""
        records = [_record(name, self.done[name]) for name in self.names if name in self.done]
        if not records:
            why = next(iter(self.failed.values()), f"the limit {self.ended} was reached")
            raise DataError(
                f"{self.images}: no record was made: {why}",
                "see the message; the same command continues",
            )
        backup = self.out.with_name(f"{self.out.name}.before")
        if self.out.exists():
            self.out.replace(backup)
        try:
            self._write(records)
        except BaseException:
            if backup.exists():
                backup.replace(self.out)
            raise
        shutil.rmtree(backup, ignore_errors=True)
        self.journal.unlink()
        failed = dict(sorted(self.failed.items()))
        return Generated(
            self.out, len(self.names), len(records), self.requests, self.tokens, failed, self.ended
        )

    def _write(self, records: list[Record]) -> None:
        with fresh_folder(self.out) as folder:
            (folder / TRAIN).write_text("".join(map(llava_line, records)), "utf-8")
            self._review(folder / REVIEW, records)
            notes = (
                f"questions and answers were generated by {self.model}; whether people reviewed "
                "them is for the publisher to say",
            )
            content = {
                "note": NOTE,
                "source": {"name": self.images.name, "format": "generate"},
                "terms": encode(Terms(notes=notes)),
            }
            replace_text(
                folder / NAME,
                json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n",
            )
            shutil.copyfile(self.journal, folder / JOURNAL)

    def _review(self, path: Path, records: list[Record]) -> None:
        from jinja2 import Environment, StrictUndefined

        source = (templates("data_report") / "review.html.j2").read_text("utf-8")
        page = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
        shown = [
            (record, thumbnail(self.images / record.images[0]) if n < _SHOWN else "")
            for n, record in enumerate(records)
        ]
        replace_text(
            path,
            page.render(records=shown, model=self.model, failed=dict(sorted(self.failed.items()))),
        )


def parse(reply: str, rounds: int) -> tuple[list[tuple[str, str]], str]:
    """The questions with their answers, or what is wrong with the reply."""
    text = reply.strip()
    fenced = _FENCE.match(text)
    try:
        data: Any = json_text.parse(fenced[1] if fenced else text)
    except ValueError:
        return [], "it is not JSON"
    if not isinstance(data, list) or len(data) != rounds:
        return [], f"it is not a list of {rounds} objects"
    found: list[tuple[str, str]] = []
    for number, item in enumerate(data):
        if not isinstance(item, dict) or set(item) != {"question", "answer"}:
            return [], f"item {number} does not have exactly the keys question and answer"
        pair = (item["question"], item["answer"])
        if not all(
            isinstance(one, str) and one.strip() and len(one) <= _LONGEST and IMAGE not in one
            for one in pair
        ):
            return [], f"item {number} holds an empty, endless or unfit text"
        found.append((pair[0].strip(), pair[1].strip()))
    if len({question.casefold() for question, _ in found}) < rounds:
        return [], "a question is repeated"
    return found, ""


def _record(name: str, rounds: list[tuple[str, str]]) -> Record:
    turns = [
        Turn(f"{IMAGE}\n{question}" if not number else question, answer)
        for number, (question, answer) in enumerate(rounds)
    ]
    return Record(name, (name,), tuple(turns))


def _pictures(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder", "name the folder that holds the pictures")
    files = (
        path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file()
    )
    names = sorted(path.relative_to(folder).as_posix() for path in files)
    if not names:
        raise DataError(
            f"{folder} holds no picture", f"pictures end in {', '.join(sorted(_SUFFIXES))}"
        )
    return names


def _template(path: Path | None) -> str:
    """The template's text, tried once before anything is asked."""
    source = path or templates("data_report") / "questions.j2"
    try:
        text = read_text(source)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{source}: the template cannot be read ({error})", "correct --template"
        ) from None
    _rendered(text, 1, "x.png")
    return text


def _rendered(template: str, rounds: int, name: str) -> str:
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        return (
            ImmutableSandboxedEnvironment(undefined=StrictUndefined)
            .from_string(template)
            .render(rounds=rounds, name=name)
        )
    except TemplateError as error:
        raise UsageError(f"the template fails: {error}", "it may use `rounds` and `name`") from None


def _take_up(out: Path, journal: Path) -> None:
    """The journal of an earlier, finished run, to add to it. Raises UsageError when `out` is
    something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        journal.parent.mkdir(parents=True, exist_ok=True)
    elif not (out / JOURNAL).is_file():
        raise UsageError(
            f"{out} holds something else",
            "name a folder that does not exist yet, or one that --generate made",
        )
    elif not journal.exists():
        shutil.copyfile(out / JOURNAL, journal)
