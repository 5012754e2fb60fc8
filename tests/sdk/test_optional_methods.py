"""What the drivers ask of `scan` and `withdraw`, of an interrupted publish and of bad
references."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubkit.authoring import fixtures
from hubkit.sdk import (
    DataError,
    Login,
    PublishInput,
    PublishReceipt,
    Record,
    RemoteError,
    RemoteFile,
    Row,
    Turn,
    Withdrawal,
)
from hubkit.sdk.testing import ConformanceError, check_dataset, check_hub, check_metric

from .frozen.hubkit_frozen_1_0 import Shelf
from .frozen.hubkit_frozen_1_1 import Lines, Words


def caught(work: Callable[[], object]) -> str:
    with pytest.raises(ConformanceError) as error:
        work()
    return str(error.value)


# --- scan
# --------------------------------------------------------------------------------------------------


class Listing(Lines):
    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Any:
        return [*super().scan(source, options, fix)]

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return Lines().records(source, options)


class Changed(Lines):
    """Its rows, each changed by `change`."""

    def records(self, source: Path, options: Mapping[str, Any]) -> Iterator[Record]:
        return Lines().records(source, options)

    def scan(self, source: Path, options: Mapping[str, Any], fix: bool) -> Iterator[Row]:
        return filter(None, (self.change(row, fix) for row in super().scan(source, options, fix)))

    def change(self, row: Row, fix: bool) -> Row | None:
        return row


class Stopping(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return None if row.problem else row


class Misnumbered(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(row, index=row.index + 1)


class Undecided(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(row, problem=row.problem or DataError("lines.txt: odd", "fix it"))


class Other(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(row, record=row.record and replace(row.record, turns=(Turn("other", "x"),)))


class Quiet(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(row, fixes=())


class Vague(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(
            row, problem=row.problem and DataError("bad.txt: something is wrong", "fix it")
        )


class Painting(Changed):
    def change(self, row: Row, fix: bool) -> Row | None:
        return replace(row, pictures={"1.png": b"x"})


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Listing(), "`scan` must stream"),
        (Stopping(), "no problem that `scan` finds in bad.txt"),
        (Misnumbered(), "`scan`: row 0 has the index 1"),
        (Undecided(), "`scan`: row 0 must have a record or a problem, and not both"),
        (Other(), "`scan` and `records` read lines.txt differently"),
        (Quiet(), "`scan` repaired rows [1] of bad.txt without saying so"),
        (Vague(), "no problem that `scan` finds in bad.txt says 'record 1: no answer'"),
        (Painting(), "row 0 has pictures that its record lacks: ['1.png']"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_scan_that_breaks_its_contract(tmp_path: Path, plugin: Any, says: str) -> None:
    source, bad = tmp_path / "lines.txt", tmp_path / "bad.txt"
    source.write_text("one\ttwo\nthree\tfour\n")
    bad.write_text("one\ttwo\nthree\nfive\tsix\n")
    wanted = {bad: "record 1: no answer"}
    check_dataset(Lines(), source, 2, bad=wanted)
    if isinstance(plugin, Stopping):
        bad.write_text("one\ttwo\nthree\n")
    assert says in caught(lambda: check_dataset(plugin, source, 2, bad=wanted))


# --- a hub's whole life
# ----------------------------------------------------------------------------------------------


class Whole(Shelf):
    """Stops when it is told to, has a default branch, and withdraws as often as it is asked."""

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        if revision == "no-such-revision":
            raise RemoteError("there is no such revision", "publish it first")
        return super().files(target, revision or "v1.0.0", options, run)

    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        run.check_cancelled()
        return super().publish(job, run)

    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Any
    ) -> Withdrawal:
        shutil.rmtree(Path(target) / receipt.tag, ignore_errors=True)
        return Withdrawal((f"{receipt.tag} is deleted",), ())


class Mute(Whole):
    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Any
    ) -> Withdrawal:
        return Withdrawal((), ())


class Branchless(Whole):
    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return super().files(target, revision, options, run) if revision else ()


class Credulous(Whole):
    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return (
            () if revision == "no-such-revision" else super().files(target, revision, options, run)
        )


class Resentful(Whole):
    """Takes a release for published once it was."""

    def __init__(self) -> None:
        self.receipts: dict[str, PublishReceipt] = {}

    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        if job.target not in self.receipts:
            self.receipts[job.target] = super().publish(job, run)
        return self.receipts[job.target]

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return super().files(target, revision, options, run) if list(Path(target).iterdir()) else ()


class Wrong(Whole):
    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Any
    ) -> Any:
        return None


class Keen(Whole):
    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        return Shelf.publish(self, job, run)


class Helpless(Whole):
    def login(self, options: Mapping[str, Any]) -> Login:
        return Login("none", "", "nowhere", "")


@pytest.fixture
def job(tmp_path: Path) -> PublishInput:
    return fixtures.release(tmp_path, str(tmp_path / "shelf"), {})


def test_a_hub_is_interrupted_and_its_release_withdrawn(job: PublishInput, tmp_path: Path) -> None:
    check_hub(Whole(), job, tmp_path / "scratch", whole=True)
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == [job.tag]


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Mute(), "`withdraw` says neither what it undid nor what remains"),
        (Branchless(), "`files` at the default branch and the release differ"),
        (Credulous(), "`files` listed a revision that is not there"),
        (Resentful(), "after it was withdrawn and published again and the release differ"),
        (Wrong(), "returned NoneType, the contract says Withdrawal"),
        (Keen(), "`publish` finished although it was cancelled"),
        (Helpless(), "a remedy unless the state is ok"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_hub_that_breaks_its_contract(
    job: PublishInput, tmp_path: Path, plugin: Any, says: str
) -> None:
    assert says in caught(lambda: check_hub(plugin, job, tmp_path / "scratch", whole=True))


def test_a_withdrawal_that_cannot_be_repeated(job: PublishInput, tmp_path: Path) -> None:
    class Once(Whole):
        withdraw = Shelf.withdraw

    with pytest.raises(FileNotFoundError):
        check_hub(Once(), job, tmp_path / "scratch", whole=True)


# --- metrics
# --------------------------------------------------------------------------------------------------


def test_references_that_cannot_be_judged_against() -> None:
    class Careful(Words):
        def score(self, answer: str, references: Sequence[str], meta: Mapping[str, str]) -> float:
            if not references:
                raise DataError("there is no reference", "give one")
            return super().score(answer, references, meta)

    scores = [("beef", ["beef"], 1.0)]
    check_metric(Careful(), scores, bad=[()])
    assert "the references [] gave the score 0.0" in caught(
        lambda: check_metric(Words(), scores, bad=[()])
    )
