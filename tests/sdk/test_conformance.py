"""The conformance drivers: they pass small honest plugins and catch each way to break a
contract."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hubkit.registry.plugins import plugins
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
    ReleaseFile,
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
from hubkit.sdk.testing import (
    ConformanceError,
    check_contract,
    check_dataset,
    check_engine,
    check_family,
    check_hub,
    check_trainer,
)

VISION = Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
RECORDS = [
    Record("a", ("a.png",), (Turn("<image> which?", "one"),)),
    Record("b", (), (Turn("and now?", "two"), Turn("sure?", "yes"))),
]


@dataclass(frozen=True)
class Options:
    steps: int = 6


# --- honest plugins
# -----------------------------------------------------------------------------------------------


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


# --- jobs
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def train_job(tmp_path: Path) -> TrainInput:
    groups = {"llm": ModuleGroup("model", ("q_proj",))}
    return TrainInput(
        tmp_path,
        tmp_path,
        groups,
        VISION,
        tmp_path,
        tmp_path,
        tmp_path / "out",
        tmp_path / "scratch",
        7,
        {},
    )


@pytest.fixture
def generate_job(tmp_path: Path) -> GenerateInput:
    write_jsonl(tmp_path / "records.jsonl", RECORDS)
    return GenerateInput(
        tmp_path,
        tmp_path,
        VISION,
        tmp_path / "records.jsonl",
        tmp_path,
        tmp_path / "out",
        8,
        {"steps": 1},
    )


@pytest.fixture
def publish_job(tmp_path: Path) -> PublishInput:
    folder = tmp_path / "release"
    folder.mkdir()
    contents = {"README.md": b"# card", "config.json": b"{}"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = tuple(
        ReleaseFile(name, len(data), hashlib.sha256(data).hexdigest(), False)
        for name, data in contents.items()
    )
    return PublishInput(folder, files, "c0ffee" * 6, "v1", "release", str(tmp_path / "shelf"), {})


def caught(work: Callable[[], object]) -> str:
    with pytest.raises(ConformanceError) as error:
        work()
    return str(error.value)


# --- they pass the honest and catch the others
# --------------------------------------------------------------------


def test_dataset(tmp_path: Path) -> None:
    source, bad = tmp_path / "data.tsv", tmp_path / "bad.tsv"
    source.write_text("one?\tyes\ntwo?\tno\n")
    bad.write_text("one?\tyes\ntwo\n")
    assert len(check_dataset(Lines(), source, 2, bad={bad: "record 1: no answer"})) == 2
    assert "gave 2 records, expected 3" in caught(lambda: check_dataset(Lines(), source, 3))
    assert "does not say 'line 2'" in caught(
        lambda: check_dataset(Lines(), source, 2, bad={bad: "line 2"})
    )
    assert "was read without complaint" in caught(
        lambda: check_dataset(Lines(), source, 2, bad={source: "x"})
    )

    class Listing(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            return list(super().records(source, options))

    class Changing(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            for record in super().records(source, options):
                yield replace(record, id=f"{record.id}-{time.monotonic_ns()}")

    class Edited(Lines):
        changes: Mapping[str, Any] = {}

        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            for record in super().records(source, options):
                yield replace(record, **self.changes)

    def edited(**changes: Any) -> str:
        return caught(
            lambda: check_dataset(type("Edited", (Edited,), {"changes": changes})(), source, 2)
        )

    assert "must stream" in caught(lambda: check_dataset(Listing(), source, 2))
    assert "gave different records" in caught(lambda: check_dataset(Changing(), source, 2))
    assert "ids repeat: ['x']" in edited(id="x")

    class One(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            yield Record("1", ("/etc/passwd",), (Turn("<image>", "x"),))

    assert "image '/etc/passwd' must be a relative path" in caught(
        lambda: check_dataset(One(), source, 1)
    )


def test_trainer(train_job: TrainInput) -> None:
    output = check_trainer(Walker(), train_job)
    assert (output.steps, output.settings) == (6, {"steps": 6})
    assert (train_job.output / output.adapter).exists()


class Unseeded(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        return super().train(replace(job, seed=random.SystemRandom().randrange(1 << 30)), run)


class Deaf(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        run.check_cancelled = lambda: None
        return super().train(job, run)


class Timed(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        output = super().train(job, run)
        (job.output / "time.txt").write_text(str(time.monotonic_ns()))
        return output


class Outside(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        return replace(super().train(job, run), adapter=str(job.output / "adapter.json"))


class Forgetful(Walker):
    def train(self, job: TrainInput, run: Any) -> TrainOutput:
        first = not (job.scratch / "state.json").exists()
        output = super().train(job, run)
        (job.output / "adapter.json").write_text(f"{first}")
        return output


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Unseeded(), "two runs differ in adapter.json, metrics.jsonl"),
        (Timed(), "two runs differ in time.txt"),
        (Deaf(), "`train` finished although it was cancelled"),
        (Outside(), "TrainOutput.adapter is '"),
        (Forgetful(), "a resumed run differs in adapter.json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trainer_that_breaks_its_contract(train_job: TrainInput, plugin: Any, says: str) -> None:
    assert says in caught(lambda: check_trainer(plugin, train_job))


def test_engine(generate_job: GenerateInput) -> None:
    assert check_engine(Echo(), generate_job).template == "plain"


class Moody(Echo):
    def say(self, prompt: str) -> str:
        return f"{prompt} {random.random()}"


class Chatty(Echo):
    def say(self, prompt: str) -> str:
        return "word " * 9


class Shuffled(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        output = super().generate(job, run)
        path = job.output / output.answers
        path.write_text("\n".join(reversed(path.read_text().splitlines())))
        return output


class Unstoppable(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        run.check_cancelled = lambda: None
        return super().generate(job, run)


class Quiet(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        run.progress = lambda *amounts: None
        return super().generate(job, run)


class Doubling(Echo):
    """Writes each answer at once, whatever an earlier run left."""

    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        records, path = list(read_records(job.records)), job.output / "answers.jsonl"
        for number, record in enumerate(records):
            run.check_cancelled()
            answer = {
                "id": record.id,
                "texts": ["x" for _ in record.turns],
                "finish": ["stop" for _ in record.turns],
            }
            with path.open("a") as out:
                out.write(json.dumps(answer) + "\n")
            run.progress(number + 1, len(records), "records")
        return GenerateOutput(
            "answers.jsonl",
            "<img><IMG_CONTEXT></img> which?",
            "plain",
            {"echo": "1"},
            0.0,
            0.1,
            0.2,
        )


class Verbose(Echo):
    def generate(self, job: GenerateInput, run: Any) -> GenerateOutput:
        return replace(super().generate(job, run), prompt="<IMG_CONTEXT>" * 16)


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Moody(), "two runs answer differently: ['a', 'b']"),
        (Chatty(), "[9] tokens, more than max_new_tokens 8"),
        (Shuffled(), "answers must be of all records in their order"),
        (Verbose(), "shortened to one"),
        (Unstoppable(), "`generate` finished although it was cancelled"),
        (Quiet(), "`generate` reported no progress"),
        (Doubling(), "answers must be of all records in their order, they are of ['a', 'a', 'b']"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_engine_that_breaks_its_contract(
    generate_job: GenerateInput, plugin: Any, says: str
) -> None:
    assert says in caught(lambda: check_engine(plugin, generate_job))


def test_hub(publish_job: PublishInput, tmp_path: Path) -> None:
    other = replace(publish_job, commit="beef" * 10)
    receipt = check_hub(
        Shelf(), publish_job, tmp_path / "scratch", other=other, bad_target="relative"
    )
    assert (receipt.repository, receipt.revision, receipt.tag) == (
        "shelf",
        publish_job.commit,
        "v1",
    )


class Overwriting(Shelf):
    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        shutil.rmtree(Path(job.target) / job.tag, ignore_errors=True)
        return super().publish(job, run)


class Corrupting(Shelf):
    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Any
    ) -> None:
        super().download(target, revision, out, options, run)
        (out / "config.json").write_text("[]")


class Losing(Shelf):
    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return super().files(target, revision, options, run)[1:]


class Counting(Shelf):
    count = 0

    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        self.count += 1
        return replace(super().publish(job, run), url=f"x{self.count}")


class Welcoming(Shelf):
    def repository(self, target: str) -> str:
        return Path(target).name


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Overwriting(), "another release under the same tag was published"),
        (Corrupting(), "and the release differ in ['config.json']"),
        (Losing(), "and the release differ in ['README.md']"),
        (Counting(), "publishing the same release again gave another receipt"),
        (Welcoming(), "`repository` took 'relative'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hub_that_breaks_its_contract(
    publish_job: PublishInput, tmp_path: Path, plugin: Any, says: str
) -> None:
    other = replace(publish_job, commit="beef" * 10)
    assert says in caught(
        lambda: check_hub(plugin, publish_job, tmp_path / "s", other=other, bad_target="relative")
    )


CONFIG: Mapping[str, Any] = {"model_type": "pair", "rows": 6}
NAMES = {"accepted": "me/PairModel-1", "refused": "Food-Model"}


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
            "projector": ModuleGroup("mlp1", ("fc",)),
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


def test_family() -> None:
    check_family(Pair(), CONFIG, **NAMES, tokens={"<img>": 1})


def family_with(**changes: Any) -> Any:
    return type("Changed", (Pair,), changes)()


def maps(*changed: TensorMap) -> dict[str, Any]:
    return {"maps": (*changed, *Pair.maps[2:])}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            maps(
                TensorMap("llm.q.weight", "fused", ((0, 2),)),
                TensorMap("llm.k.weight", "fused", ((2, 5),)),
            ),
            "rows up to 5 are taken",
        ),
        (
            maps(
                TensorMap("llm.q.weight", "fused", ((0, 4),)),
                TensorMap("llm.k.weight", "fused", ((3, 6),)),
            ),
            "must come exactly once",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.k.weight", "fused")),
            "must come exactly once",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.q.weight", "eye")),
            "native names repeat: ['llm.q.weight']",
        ),
        (
            maps(TensorMap("llm.q.weight", "fused"), TensorMap("llm.k.weight", "lost")),
            "do not name the same official tensors: ['lost']",
        ),
        (maps(TensorMap("llm.q.weight", "fused")), "no weight of a linear layer 'k' below 'llm'"),
        ({"recognises": lambda self, config: True}, "claims a foreign config: {}"),
        ({"recognises": lambda self, config: False}, "says no to its own config"),
        ({"layout": lambda self, config: {"eye": (2, 0)}}, "gives eye the shape (2, 0)"),
        (
            {"layout": lambda self, config: {"fused": (9, 2)}},
            "`layout` of an empty config must raise UsageError",
        ),
        (
            {"describe": lambda self, config: RecognisedModel("P", "p", 4)},
            "counts 4 parameters, `layout` 18",
        ),
        ({"companions": lambda self, config: Companions(("a", "a|b"))}, "repeats ['a']"),
        ({"companions": lambda self, config: Companions(("../a",))}, "lists '../a'"),
        ({"repository_problem": lambda self, repository: None}, "has nothing against 'Food-Model'"),
        ({"repository_problem": lambda self, repository: "no"}, "refuses 'me/PairModel-1': no"),
        ({"check": lambda self, folder, config: ("wrong",)}, "the contract says Problems"),
        (
            {"check": lambda self, folder, config: (Problem("", "x", "y"),)},
            "a Problem without place, message or remedy",
        ),
        (
            {"check": lambda self, folder, config: (Problem("config.json", "x", "y"),)},
            "finds fault with an official folder",
        ),
        (
            {"card": lambda self, config: CardFacts("a", "b", (), {"Use": "x"})},
            "the snippet 'Use' does not name {repository}",
        ),
        ({"layout": lambda self: {}}, "breaks its contract: method `layout` must take"),
    ],
)
def test_family_that_breaks_its_contract(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    assert says in caught(
        lambda: check_family(family_with(**changes), CONFIG, **NAMES, folder=tmp_path)
    )


def test_every_bundled_plugin_has_the_shape_of_its_kind() -> None:
    for row in plugins().rows():
        if row.distribution == "hubkit":
            check_contract(plugins().get(row.kind, row.name), row.kind)
    assert "is a dataset, this driver is for a hub" in caught(
        lambda: check_contract(Lines(), "hub")
    )
