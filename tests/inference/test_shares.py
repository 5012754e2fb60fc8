"""Records in shares: the same answers in the same order for any number of processes and machines,
broken off and gone on with."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from hubkit.environments.machine import gpus
from hubkit.errors import CancelledError, DataError, EnvironmentFailure
from hubkit.inference import shares
from hubkit.inference.shares import ANSWERS, SHARES, Given, Nodes, Shares
from hubkit.sdk import Answer, GenerateOutput, Record, Run, SilentRun, Turn, write_jsonl
from hubkit.sdk.records import kept_answers

RECORDS = [Record(str(n % 7), (), (Turn(f"question {n}", ""),)) for n in range(11)]
"""Ids recur: the sample of the training may have the id of a held-out record."""


class Engine:
    """Answers by the record's place, and goes on where its file ends; it stops before the record
    that `stop` names, when so many `others` have answered theirs."""

    def __init__(self, stop: str = "", others: int = 0, version: str = "1") -> None:
        self.stop, self.others, self.version = stop, others, version
        self.done = threading.Semaphore(0)
        self.asked: list[str] = []
        self.given: list[dict[str, str]] = []

    def __call__(
        self, records: Sequence[Record], out: Path, run: Run, given: Mapping[str, str]
    ) -> Given:
        self.given.append(dict(given))
        path = out / ANSWERS
        done = kept_answers(path, records, 2)
        with path.open("a", encoding="utf-8") as file:
            for number, record in enumerate(records[done:], done + 1):
                run.check_cancelled()
                if record.turns[0].prompt == f"question {self.stop}":
                    assert all(self.done.acquire(timeout=60) for _ in range(self.others))
                    raise DataError(f"record {self.stop} cannot be asked", "leave it out")
                self.asked.append(record.turns[0].prompt)
                answer = Answer(record.id, (f"of {record.turns[0].prompt}",), ("stop",))
                file.write(json.dumps(asdict(answer), ensure_ascii=False, sort_keys=True) + "\n")
                file.flush()
                run.progress(number, len(records), "records")
        self.done.release()
        answers = [Answer(one.id, (f"of {one.turns[0].prompt}",), ("stop",)) for one in records]
        prompt, versions = records[0].turns[0].prompt, {"engine": self.version}
        return GenerateOutput(ANSWERS, prompt, "plain", versions, 0.0, 0.1, 0.2), answers


def dealt(processes: int, nodes: Nodes | None = None) -> Shares:
    return Shares(RECORDS, 2, processes, nodes or Nodes())


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """The file that one process leaves."""
    (tmp_path / "one").mkdir()
    Engine()(RECORDS, tmp_path / "one", SilentRun(), {})
    return (tmp_path / "one" / ANSWERS).read_bytes()


@pytest.mark.parametrize("processes", [2, 3, 5, 40])
def test_the_answers_are_those_of_one_process(tmp_path: Path, whole: bytes, processes: int) -> None:
    engine, out = Engine(), tmp_path / "out"
    output, answers = shares.ask_all(engine, dealt(processes), out, SilentRun())
    assert (out / ANSWERS).read_bytes() == whole
    assert [path.name for path in out.iterdir()] == [ANSWERS]
    assert [answer.texts[0] for answer in answers] == [f"of question {n}" for n in range(11)]
    assert output.prompt == "question 0"
    assert len(engine.given) == min(processes, 6)
    assert len(engine.asked) == 11


@pytest.mark.parametrize("then", [1, 2, 4])
def test_a_run_that_was_broken_off_goes_on_with_any_number(
    tmp_path: Path, whole: bytes, then: int
) -> None:
    first, second, out = Engine(stop="9", others=2), Engine(), tmp_path / "out"
    with pytest.raises(DataError, match="record 9 cannot be asked"):
        shares.ask_all(first, dealt(3), out, SilentRun())
    if then == 1:
        shares.gather(dealt(1), out)
        second(RECORDS, out, SilentRun(), {})
    else:
        shares.ask_all(second, dealt(then), out, SilentRun())
    assert (out / ANSWERS).read_bytes() == whole
    again = set(first.asked) & set(second.asked)
    assert "question 0" not in again
    assert len(again) <= 2  # a batch is asked whole
    assert {*first.asked, *second.asked} == {record.turns[0].prompt for record in RECORDS}


def test_several_go_on_where_one_was_broken_off(tmp_path: Path, whole: bytes) -> None:
    first, second, out = Engine(stop="6"), Engine(), tmp_path / "out"
    out.mkdir()
    with pytest.raises(DataError):
        first(RECORDS, out, SilentRun(), {})
    shares.ask_all(second, dealt(2), out, SilentRun())
    assert (out / ANSWERS).read_bytes() == whole
    assert second.asked and not set(first.asked) & set(second.asked)


def test_two_machines_each_answer_their_shares(tmp_path: Path, whole: bytes) -> None:
    here, there, out = Engine(), Engine(), tmp_path / "out"
    other = threading.Thread(
        target=shares.ask_own, args=(there, dealt(2, Nodes(2, 1)), out, SilentRun())
    )
    other.start()
    _, answers = shares.ask_all(here, dealt(2, Nodes(2, 0)), out, SilentRun())
    other.join()
    assert (out / ANSWERS).read_bytes() == whole
    assert len(answers) == 11
    assert here.asked and there.asked
    assert not set(here.asked) & set(there.asked)
    late = Engine()  # restarted after all was done
    shares.ask_own(late, dealt(2, Nodes(2, 1)), out, SilentRun())
    assert not late.asked


def test_a_machine_with_other_versions_is_told_and_its_answers_are_not_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    shares.ask_own(Engine(version="2"), dealt(1, Nodes(2, 1)), out, SilentRun())
    with pytest.raises(EnvironmentFailure, match=r"from different versions: .*'1'.*'2'") as raised:
        shares.ask_all(Engine(), dealt(1, Nodes(2, 0)), out, SilentRun())
    assert "`where.python`" in raised.value.remedy
    assert not (out / SHARES).exists()


def test_an_interruption_ends_all(tmp_path: Path) -> None:
    class Interrupted(SilentRun):
        def check_cancelled(self) -> None:
            raise CancelledError("interrupted", "again")

    with pytest.raises(CancelledError):
        shares.ask_all(Engine(), dealt(3), tmp_path, Interrupted())


def test_each_process_has_its_part_of_the_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(processes: int) -> set[str]:
        engine = Engine()
        shares.ask_all(engine, dealt(processes), tmp_path / str(processes), SilentRun())
        return {one["CUDA_VISIBLE_DEVICES"] for one in engine.given}

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6,7")
    assert gpus({"CUDA_VISIBLE_DEVICES": "4,-1,5"}) == ("4",)
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert given(2) == {"4,5", "GPU-6,7"}
    assert given(3) == {"4", "5", "GPU-6"}
    assert given(5) == {"4", "5", "GPU-6", "7"}
    assert shares.processes_here(0) == 4
    assert shares.processes_here(3) == 3


def test_processes_without_a_gpu_share_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    engine = Engine()
    shares.ask_all(engine, dealt(2), tmp_path / "a", SilentRun())
    assert engine.given == [{"OMP_NUM_THREADS": "4"}] * 2
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shares.ask_all(engine, dealt(2), tmp_path / "b", SilentRun())
    assert engine.given[2:] == [{}] * 2


def test_an_answer_that_was_cut_off_is_asked_again(tmp_path: Path, whole: bytes) -> None:
    out, engine = tmp_path / "out", Engine()
    folder = dealt(2).folder(out, 1)
    folder.mkdir(parents=True)
    (folder / ANSWERS).write_bytes(b'{"id": "2", "tex')
    write_jsonl(out / ANSWERS, [Answer("of another record", ("no",), ("stop",))])
    shares.ask_all(engine, dealt(2), out, SilentRun())
    assert (out / ANSWERS).read_bytes() == whole
