"""Jobs, without a scheduler: what the node does with its folder, and what is told from it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from testing.projects import NAME
from testing.releases import Notes

import hubkit
from hubkit.errors import EnvironmentFailure, UsageError
from hubkit.pipeline import elsewhere, on_node
from hubkit.pipeline.following import PROGRESS, STARTED, follow
from hubkit.pipeline.placing import check_paths, job_for
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.spec.where import Where
from hubkit.pipeline.stage import Context
from hubkit.pipeline.stages import evaluate, stage_named
from hubkit.pipeline.stages.train import check_nodes
from hubkit.pipeline.workspace import Workspace
from hubkit.scheduling import SCHEDULERS, Job, Needs, State


class Watched(Notes):
    def cancels(self, job: str) -> bool:
        return False

    def stage_started(self, *_: object) -> None: ...
    def stage_sealed(self, *_: object) -> None: ...
    def stage_cached(self, *_: object) -> None: ...


class Folder:
    """A scheduler whose jobs are files: `state` is what the test says."""

    def __init__(self, *states: State | EnvironmentFailure) -> None:
        self.states, self.cancelled = list(states), list[str]()

    def state(self, id: str, job: Job) -> State:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, EnvironmentFailure):
            raise state
        return state

    def printed(self, job: Job, since: int) -> tuple[bytes, int]:
        path = job.folder / "job.log"
        data = path.read_bytes()[since:] if path.exists() else b""
        return data, since + len(data)

    def check(self, job: Job) -> None: ...
    def submit(self, job: Job) -> str:
        return "7"

    def find(self, job: Job) -> str | None:
        return None

    def cancel(self, id: str) -> None:
        self.cancelled.append(id)

    def cancelling(self, id: str) -> str:
        return f"end {id}"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_BETWEEN_QUESTIONS", (0.0, 0.0))
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_FOR_FILES", 0.05)
    return Job("a.train.1", tmp_path, ("true",), {}, Needs())


def workspace(spec: Path) -> Workspace:
    return Workspace(spec.parent, NAME)


def request(folder: Path, spec: Path, **changes: str) -> None:
    made = {
        "hubkit": on_node.__version__,
        "name": "mine",
        "stage": "train",
        "workdir": str(spec.parent),
        "spec": load(spec).model_dump(mode="json"),
    }
    folder.mkdir()
    (folder / elsewhere.REQUEST).write_text(json.dumps({**made, **changes}), "utf-8")
    (folder / elsewhere.RECORD).write_text("{}", "utf-8")


def test_a_job_that_fails_seals_nothing_and_leaves_its_log(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the next command submits another."""
    failure = EnvironmentFailure("Slurm job 7 ended on n1: OUT_OF_MEMORY", "raise `where.memory`")
    killed, names = Folder(State("ended", "OUT_OF_MEMORY", "n1", failure)), list[str]()

    def submit(job: Job) -> str:
        names.append(job.name)
        (job.folder / "job.log").write_text("step 7\n", "utf-8")
        (job.folder / elsewhere.OUT).mkdir()
        (job.folder / elsewhere.OUT / "half an adapter").touch()
        return "7"

    killed.submit = submit  # type: ignore[method-assign]
    monkeypatch.setitem(SCHEDULERS, "slurm", lambda flags: killed)
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_BETWEEN_QUESTIONS", (0.0, 0.0))
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_FOR_FILES", 0.0)
    for _ in range(2):
        with pytest.raises(EnvironmentFailure, match="OUT_OF_MEMORY"):
            hubkit.release(project, until="train", where="slurm")
    run = project.parent / ".hubkit" / NAME
    assert len({*names}) == 2
    assert not (run / "train").exists()
    assert not any((run / "jobs").iterdir())
    assert (run / "logs" / "train" / "job.log").read_text("utf-8") == "step 7\n"


def test_an_environment_that_depends_on_the_machine_is_refused_at_once(project: Path) -> None:
    with pytest.raises(UsageError, match="fits this machine, and the stage runs on") as raised:
        hubkit.release(project, overrides=["train.environment=locked"], where="slurm")
    assert "`train.environment: locked:cu12`" in str(raised.value)
    assert not (project.parent / ".hubkit").exists()


def test_a_variant_s_environment_is_named_too(project: Path) -> None:
    spec = load(project, ["where=slurm", "variants=[{name: GGUF, ask: {environment: locked}}]"])
    with pytest.raises(UsageError, match=r"variants.0.ask.environment: `locked` takes"):
        elsewhere.check(stage_named("variants"), Context(spec, workspace(project), Watched()))


def test_what_a_pod_would_not_see(project: Path, tmp_path: Path) -> None:
    where = "where={scheduler: kubernetes, image: i, claim: c%s}"
    outside = project.parent.parent / "base"
    (project.parent / "base").rename(outside)

    def placed(more: str) -> None:
        spec = load(project, [where % more, f"base.path={outside}"])
        check_paths(Context(spec, workspace(project), Watched()), spec.where)

    with pytest.raises(UsageError, match=rf"sees {project.parent} alone, .*base.path: {outside}"):
        placed("")
    placed(f", mount: {project.parent.parent}")


def test_a_pod_runs_its_image_s_python(project: Path) -> None:
    spec = load(project, ["where={scheduler: kubernetes, image: i, claim: c}"])
    context = Context(spec, workspace(project), Watched())
    job = job_for(stage_named("train"), context, "a.train.1", spec.where)
    assert job.command[:3] == ("python", "-m", "hubkit.pipeline.on_node")
    assert job.needs.mount == str(project.parent)
    assert job_for(stage_named("train"), context, "a", Where(scheduler="slurm")).command[0] == (
        sys.executable
    )


def test_an_evaluation_on_several_nodes_must_know_how_many_answer(project: Path) -> None:
    spec = load(project, ["where={scheduler: slurm, nodes: 2}", "evaluate.processes=0"])
    with pytest.raises(UsageError, match=r"evaluate.processes is 0: one for each GPU of a node"):
        evaluate.check_nodes(spec)
    for said in ("where.gpus=4", "evaluate.processes=2"):
        evaluate.check_nodes(
            load(project, ["where={scheduler: slurm, nodes: 2}", "evaluate.processes=0", said])
        )


def test_a_trainer_that_takes_one_node_is_refused_two(project: Path) -> None:
    spec = load(project, ["train.trainer=nextgpt_stages", "train.options={}"])
    where = Where(scheduler="slurm", nodes=2)
    with pytest.raises(UsageError, match=r"where.nodes is 2, and trainer nextgpt_stages takes one"):
        check_nodes(spec.model_copy(update={"where": where}))
    check_nodes(load(project).model_copy(update={"where": where}))


def test_a_node_with_another_hubkit_says_so_and_does_nothing(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    request(folder, project, hubkit="9.9.9")
    assert on_node.main(folder, "mine") == 1
    error = json.loads((folder / elsewhere.OUTPUT).read_text("utf-8"))["error"]
    assert error["error"] == "EnvironmentFailure"
    assert "submitted by hubkit 9.9.9" in error["message"]
    assert "`where.python`" in error["remedy"]
    assert not (folder / elsewhere.OUT).exists()


def test_a_job_whose_folder_is_another_s_leaves_it_alone(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "job"
    request(folder, project)
    before = sorted(path.name for path in folder.iterdir())
    assert on_node.main(folder, "of-an-earlier-time") == 2
    assert sorted(path.name for path in folder.iterdir()) == before
    assert on_node.main(tmp_path / "gone", "mine") == 2


def test_what_the_job_tells_and_prints_arrives_once(job: Job) -> None:
    run, output = Watched(), job.folder / "output.json"
    (job.folder / "job.log").write_bytes(b"loading \x1b[31mcuda\nhalf a li")
    (job.folder / PROGRESS).write_text('{"note": "one"}\n{"no', "utf-8")
    follower = Folder(State("running", "RUNNING", "n1"))
    output.touch()
    assert follow(follower, "7", job, output, run) is None
    assert "one" in run.notes
    assert "half a li" not in str(run.notes)
    assert not any("\x1b" in note for note in run.notes)


def test_a_clock_that_differs_is_told(job: Job) -> None:
    run, output = Watched(), job.folder / "output.json"
    follower = Folder(State("running", "RUNNING", "n1"))
    started = job.folder / STARTED

    class Writes(Folder):
        def state(self, id: str, job: Job) -> State:
            started.write_text(json.dumps({"node": "n1", "time": 1_000_000.0}), "utf-8")
            os.utime(started, (1_007_200, 1_007_200))
            (job.folder / PROGRESS).touch()
            output.touch()
            return follower.states[0]  # type: ignore[return-value]

    follow(Writes(State("running", "")), "7", job, output, run)
    assert any("the clock of n1 is 7,200 s behind" in note for note in run.notes)


def test_a_job_that_left_nothing(job: Job) -> None:
    run, output = Watched(), job.folder / "output.json"
    gone = follow(Folder(State("unknown", "Invalid job id")), "7", job, output, run)
    assert gone is not None
    assert "left no result" in gone.message
    assert "(Invalid job id)" in gone.message
    failure = EnvironmentFailure("ended", "run it again")
    assert follow(Folder(State("ended", "FAILED", "", failure)), "7", job, output, run) is failure


def test_a_job_that_can_never_start_is_cancelled(job: Job) -> None:
    failure = EnvironmentFailure("never", "ask for less")
    follower = Folder(State("waiting", "PENDING", "", failure))
    assert follow(follower, "7", job, job.folder / "output.json", Watched()) is failure
    assert follower.cancelled == ["7"]


def test_a_scheduler_that_is_away_for_a_while(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    away, run = EnvironmentFailure("no answer", "wait"), Watched()
    failure = EnvironmentFailure("ended", "run it again")
    follower = Folder(away, away, State("ended", "FAILED", "n1", failure))
    assert follow(follower, "7", job, job.folder / "output.json", run) is failure
    assert run.notes == ["no answer; asking again", "job 7: FAILED on n1"]
    monkeypatch.setattr("hubkit.pipeline.following.SECONDS_WITHOUT_SCHEDULER", -1.0)
    with pytest.raises(EnvironmentFailure, match="no answer"):
        follow(Folder(away), "7", job, job.folder / "output.json", run)
