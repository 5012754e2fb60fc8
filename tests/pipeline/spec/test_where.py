"""`where` in release.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hubkit.errors import SpecError, UsageError
from hubkit.pipeline import card_facts
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.spec.model import Spec
from hubkit.pipeline.spec.where import Where, scheduler_named
from hubkit.scheduling import SCHEDULERS

RELEASE = "name: InternVL2-Tiny-Test\nbase: {path: base}\ndata: {path: data.json}\n"


def loaded(folder: Path, text: str) -> Spec:
    path = folder / "release.yaml"
    path.write_text(RELEASE + text, "utf-8")
    return load(path)


def problem(folder: Path, text: str) -> str:
    with pytest.raises(SpecError) as caught:
        loaded(folder, text)
    first, told = caught.value.message.splitlines()
    assert first.startswith("1 problem ")
    return told.partition("release.yaml, ")[2]


def test_everything_is_local_unless_said_otherwise(tmp_path: Path) -> None:
    spec = loaded(tmp_path, "")
    assert {spec.where_of(stage) for stage in ("train", "smoke")} == {Where(scheduler="local")}


def test_a_stage_s_own_comes_before_the_release_s(tmp_path: Path) -> None:
    spec = loaded(
        tmp_path,
        "where: {scheduler: slurm, gpus: 4, hours: 12, flags: [--account=vision]}\n"
        "smoke: {where: local}\nevaluate: {where: slurm}\n",
    )
    needs = spec.where_of("train").needs()
    assert (needs.gpus, needs.hours, needs.flags) == (4, 12.0, ("--account=vision",))
    assert spec.where_of("smoke") == Where(scheduler="local")
    assert spec.where_of("evaluate") == Where(scheduler="slurm")


def test_variants_are_made_and_asked_where_the_release_is(tmp_path: Path) -> None:
    text = "where: {scheduler: slurm, hours: 2}\n"
    assert loaded(tmp_path, text).where_of("variants") == Where(scheduler="local")
    spec = loaded(tmp_path, f"{text}variants: [{{name: GGUF}}]\n")
    assert spec.where_of("variants").hours == 2.0
    assert spec.where_of("package") == Where(scheduler="local")


def test_another_scheduler_for_one_command(tmp_path: Path) -> None:
    spec = loaded(tmp_path, "where: {scheduler: slurm, hours: 2}\nsmoke: {where: local}\n")
    assert spec.placed("slurm") == spec
    assert spec.placed("local").where_of("train") == Where(scheduler="local")
    assert loaded(tmp_path, "").placed("slurm").where_of("train") == Where(scheduler="slurm")
    assert set(SCHEDULERS) == {"kubernetes", "slurm"}
    for name in ("local", *SCHEDULERS):
        assert scheduler_named(name) == name
    with pytest.raises(UsageError, match=r"no scheduler 'slrum' \(did you mean 'slurm'"):
        scheduler_named("slrum")
    with pytest.raises(UsageError, match="where: sky is not driven") as raised:
        scheduler_named("sky")
    assert "hubkit launch --print sky" in raised.value.remedy
    with pytest.raises(UsageError, match="says neither image nor claim"):
        loaded(tmp_path, "").placed("kubernetes")
    asked = "where: {scheduler: kubernetes, image: i, claim: c}\n"
    assert loaded(tmp_path, asked).placed("kubernetes").where.image == "i"


def test_a_node_reads_the_release_as_it_was_written(tmp_path: Path) -> None:
    for text in (
        "where: {scheduler: slurm, hours: 2}\ntrain: {where: slurm}\n",
        "evaluate: {where: {scheduler: slurm, nodes: 2}}\n",  # and all else here
        "where: {scheduler: kubernetes, image: i, claim: c}\nsmoke: {where: local}\n",
    ):
        spec = loaded(tmp_path, text)
        assert Spec.model_validate(json.loads(json.dumps(spec.model_dump(mode="json")))) == spec


def test_a_release_says_nothing_of_where_it_was_made(tmp_path: Path) -> None:
    here = card_facts.settings(loaded(tmp_path, ""))
    stages = "train: {where: slurm}\nsmoke: {where: slurm}\n"
    stages += "evaluate: {where: slurm, processes: 8}\n"
    there = card_facts.settings(loaded(tmp_path, f"where: {{scheduler: slurm, gpus: 8}}\n{stages}"))
    assert there == here


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("where: slrum\n", "one of local, slurm, kubernetes, not 'slrum' (did you mean 'slurm'?)"),
        ("where: sky\n", "`hubkit launch --print sky > task.yaml`, then `sky launch task.yaml`"),
        ("where: {scheduler: sky}\n", "share no folder with this one"),
        ("where: kubernetes\n", "with image and claim when the scheduler is kubernetes"),
        (
            "where: {scheduler: kubernetes, image: i, claim: c, nodes: 2}\n",
            "`hubkit launch --print kubernetes` takes several",
        ),
        (
            "where: {scheduler: kubernetes, image: i, claim: c, flags: [--token=x]}\n",
            "with flags by which kubectl reaches a cluster: --context",
        ),
        ("where: {scheduler: kubernetes, image: i, claim: c, mount: a}\n", "where.mount: a text"),
        ("where: {scheduler: slurm, image: i}\n", "`apptainer exec --nv hubkit.sif python`"),
        ("where: {gpus: 2}\n", "'where.scheduler' is missing"),
        (
            "where: {scheduler: slurm, hour: 2}\n",
            "unknown key 'where.hour' (did you mean 'hours'?)",
        ),
        ("where: {scheduler: local, gpus: 2}\n", "without gpus when the scheduler is local"),
        ("where: {scheduler: slurm, hours: 0}\n", "where.hours: a number above 0, not 0"),
        ("where: {scheduler: slurm, memory: lots}\n", "where.memory: a text of the form"),
        ("where: {scheduler: slurm, flags: [-A x]}\n", "a flag of the form --name"),
        ("where: {scheduler: slurm, flags: [--time=9]}\n", "no key of its own: `where.hours`"),
        ("where: {scheduler: slurm, flags: [--output=x]}\n", "a flag that hubkit does not set"),
        ('where: {scheduler: slurm, python: "a \'b"}\n', "words as a shell takes them"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, text: str, told: str) -> None:
    assert told in problem(tmp_path, text)
