"""Small honest plugins of every kind, which the conformance drivers must pass, and how a driver is
caught."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import (
    Answer,
    CardFacts,
    Companions,
    DataError,
    GenerateInput,
    GenerateOutput,
    Login,
    ModuleGroup,
    NativeModel,
    Problem,
    PublishInput,
    PublishReceipt,
    RecognisedModel,
    Record,
    RefusedError,
    RemoteFile,
    Requirements,
    TensorMap,
    Terms,
    TrainInput,
    TrainOutput,
    Turn,
    UsageError,
    Vision,
    Withdrawal,
    read_records,
    write_jsonl,
)
from hubkit.sdk.testing import ConformanceError

VISION = Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


RECORDS = [
    Record("a", ("a.png",), (Turn("<image> which?", "one"),)),
    Record("b", (), (Turn("and now?", "two"), Turn("sure?", "yes"))),
]


@dataclass(frozen=True)
class Options:
    steps: int = 6


class Lines:
    """A dataset of one `question<tab>answer` a line."""

    kind, name, sdk, Options = "dataset", "lines", "1.0", Options

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        for number, line in enumerate(source.read_text().splitlines()):
            question, tab, answer = line.partition("\t")
            if not tab:
                raise DataError(
                    f"{source}, record {number}: no answer", "write a tab and the answer"
                )
            yield Record(str(number), (), (Turn(question, answer),))

    def terms(self, source: Path, options: Mapping[str, Any]) -> Terms:
        return Terms()


class Walker:
    """A trainer whose adapter is the end of a seeded random walk; it keeps every step in
    `scratch`."""

    kind, name, sdk, Options, requirements = (
        "trainer",
        "walker",
        "1.0",
        Options,
        Requirements((), ""),
    )

    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        kept = job.scratch / "state.json"
        state = json.loads(kept.read_text()) if kept.exists() else []
        for step in range(len(state), job.options["steps"]):
            run.check_cancelled()
            state.append(random.Random(job.seed + step).random())
            kept.write_text(json.dumps(state))
            run.progress(step + 1, job.options["steps"], "steps", loss=state[-1])
        (job.output / "adapter.json").write_text(json.dumps(sum(state)))
        lines = [
            json.dumps({"step": n + 1, "loss": loss, "learning_rate": 0.1})
            for n, loss in enumerate(state)
        ]
        (job.output / "metrics.jsonl").write_text("\n".join(lines))
        return TrainOutput(
            "adapter.json", "peft", "metrics.jsonl", len(state), 2, 1, {"steps": len(state)}
        )


class Echo:
    """An engine that says the prompt backwards."""

    kind, name, sdk, Options, requirements = "engine", "echo", "1.0", Options, Requirements((), "")

    def say(self, prompt: str) -> str:
        return prompt[::-1]

    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        answers, records = [], list(read_records(job.records))
        for number, record in enumerate(records):
            run.check_cancelled()
            texts = tuple(self.say(turn.prompt) for turn in record.turns)
            answers.append(
                Answer(
                    record.id,
                    texts,
                    ("stop",) * len(texts),
                    tuple(len(text.split()) for text in texts),
                )
            )
            run.progress(number + 1, len(records), "records")
        write_jsonl(job.output / "answers.jsonl", answers)
        return GenerateOutput(
            "answers.jsonl",
            "<img><IMG_CONTEXT></img> which?",
            "plain",
            {"echo": "1"},
            0.0,
            0.1,
            0.2,
        )


class Shelf:
    """A hub that is a folder with a folder for each tag."""

    kind, name, sdk, schemes, Options = "hub", "shelf", "1.0", ("shelf",), Options

    def repository(self, target: str) -> str:
        if not target.startswith("/"):
            raise UsageError(f"not a folder: {target}", "name an absolute one")
        return Path(target).name

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        return ()

    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        tag = Path(job.target) / job.tag
        if tag.exists() and (tag / ".commit").read_text() != job.commit:
            raise RefusedError(f"{job.tag} holds another release", "choose another tag")
        if not tag.exists():
            tag.mkdir(parents=True)
            (tag / ".commit").write_text(job.commit)
            for file in job.files:
                shutil.copy(job.folder / file.path, tag / file.path)
        return PublishReceipt(
            "shelf", job.target, self.repository(job.target), job.commit, job.tag, tag.as_uri()
        )

    def login(self, options: Mapping[str, Any]) -> Login:
        return Login("ok", "me", "the file system", "")

    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Any
    ) -> Withdrawal:
        shutil.rmtree(Path(target) / receipt.tag)
        return Withdrawal((f"{receipt.tag} is deleted",), ())

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return tuple(
            RemoteFile(
                path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
            )
            for path in sorted(self._of(target, revision).iterdir())
            if path.name != ".commit"
        )

    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Any
    ) -> None:
        shutil.copytree(self._of(target, revision), out, ignore=shutil.ignore_patterns(".commit"))

    def _of(self, target: str, revision: str) -> Path:
        return next(
            tag
            for tag in Path(target).iterdir()
            if revision in (tag.name, (tag / ".commit").read_text())
        )


def caught(work: Callable[[], object]) -> str:
    with pytest.raises(ConformanceError) as error:
        work()
    return str(error.value)


class Pair:
    """A family of two tensors, one of them split in the native view."""

    kind, name, sdk = "family", "pair", "1.0"
    maps = (
        TensorMap("llm.q.weight", "fused", ((0, 2), (4, 5))),
        TensorMap("llm.k.weight", "fused", ((2, 4), (5, 6))),
        TensorMap("vit.fc.weight", "eye"),
        TensorMap("mlp1.fc.weight", "bridge"),
    )

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "pair"

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        return RecognisedModel("Pair", "two tensors and a bridge", 18)

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        if "rows" not in config:
            raise UsageError("config.json: `rows` is missing", "add it")
        return {"fused": (config["rows"], 2), "eye": (2, 2), "bridge": (2,)}

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        groups = {
            "llm": ModuleGroup("llm", ("q", "k")),
            "vit": ModuleGroup("vit", ("fc",)),
            "mlp1": ModuleGroup("mlp1", ("fc",)),
        }
        return NativeModel({"model_type": "pair-native"}, self.maps, groups)

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        return VISION

    def companions(self, config: Mapping[str, Any]) -> Companions:
        return Companions(("config.json", "tokenizer.json|tokenizer.model"), ("README.md",))

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return ()

    def repository_problem(self, repository: str) -> str | None:
        return None if "Pair" in repository else "the name must hold Pair"

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        return CardFacts(
            "transformers", "image-text-to-text", (), {"Use it": "load('{repository}')"}
        )
