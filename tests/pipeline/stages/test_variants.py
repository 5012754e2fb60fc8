"""A release with its model as GGUF, made, asked by llama.cpp, compared, published to the rehearsal
hub and read back; and what a variant that is not good enough stops."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testing.hub_fixtures import forget_accounts
from testing.projects import NAME, RELEASE, make_project

import hubkit
from hubkit.errors import CancelledError, RefusedError
from hubkit.pipeline.run import NAMES
from hubkit.rehearsal import Running, serve
from hubkit.reporting import SilentReporter

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("variants")]
TOKEN = "hf_variants9876543210zyxwvutsrqp"
VARIANTS = f"""\
publish:
  - to: huggingface:acme/{NAME}
    options: {{endpoint: "URL", token_env: MY_TOKEN, patience: 20.0}}
variants:
  - name: GGUF
    ask: {{options: {{threads: 1}}}}
    require: {{drop: "<= 0 %", same_texts: ">= 100 %"}}
  - name: Q8_0
    options: {{type: q8_0, mmproj: q8_0}}
    ask: {{options: {{threads: 1}}}}
    require: {{drop: "<= 50 %"}}
    publish: within
"""
IMPOSSIBLE = 'variants.0.require={same_texts: "> 100 %"}'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest.fixture(scope="module")
def hub(place: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch, serve(place / "data", token=TOKEN) as running:
        forget_accounts(place, patch, TOKEN)
        patch.setenv("HOME", str(place))
        yield running


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, digits: Path, hub: Running) -> Path:
    path = make_project(tmp_path_factory.mktemp("release"), digits)
    kept = RELEASE.partition("publish:")[0]
    path.write_text(kept + VARIANTS.replace("URL", hub.url), "utf-8")
    return path


class Interrupting(SilentReporter):
    """Ends the release when `text` is told."""

    def __init__(self, text: str) -> None:
        self._text = text

    def note(self, message: str) -> None:
        if self._text in message:
            raise CancelledError("interrupted", "again")


def test_a_killed_stage_keeps_what_was_made_and_asked(spec: Path) -> None:
    with pytest.raises(CancelledError):
        hubkit.release(spec, reporter=Interrupting("variant Q8_0"))
    scratch = spec.parent / ".hubkit" / NAME / "scratch" / "variants"
    (made,) = scratch.glob(f"*/{NAME}/{NAME}-F16.gguf")
    (answers,) = scratch.glob("*/*/answers.jsonl")
    before = [path.stat().st_ino for path in scratch.glob(f"*/{NAME}/*.gguf")]
    with pytest.raises(RefusedError) as caught:
        hubkit.release(spec, overrides=[IMPOSSIBLE])
    assert "variant GGUF: it is not close enough to the merged model (4 held-out records): " in (
        caught.value.message
    )
    assert "same_texts is 100.0 %, and require asks for > 100 %" in caught.value.message
    assert made.is_file() and answers.is_file()
    assert [path.stat().st_ino for path in scratch.glob(f"*/{NAME}/*.gguf")] == before


def test_nothing_is_published_when_one_fails(spec: Path, place: Path) -> None:
    with pytest.raises(RefusedError):
        hubkit.release(spec, overrides=[IMPOSSIBLE])
    assert not list((place / "data" / "repositories").glob("**/*.git"))
    plans = {one.stage: one.state for one in hubkit.plan(spec)}
    assert plans["evaluate"] == "cached" and plans["variants"] == "run"


def test_a_stage_that_was_killed_outright_goes_on(spec: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hubkit",
        "release",
        str(spec),
        "--until",
        "variants",
        "--json",
    ]
    scratch = spec.parent / ".hubkit" / NAME / "scratch" / "variants"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("variant Q8_0: gguf makes it" in line for line in process.stdout)
        process.kill()
    time.sleep(1)  # the worker ends by itself
    kept = {path: path.stat().st_ino for path in scratch.glob(f"*/{NAME}/{NAME}-F16.gguf")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-2000:]
    sealed = spec.parent / ".hubkit" / NAME / "variants" / "GGUF" / "model" / f"{NAME}-F16.gguf"
    assert [sealed.stat().st_ino] == list(kept.values())


def test_an_optional_one_is_left_out(spec: Path) -> None:
    said = [IMPOSSIBLE, "variants.0.optional=true"]
    result = hubkit.release(spec, overrides=said, until="package")
    assert list(result.variants) == ["Q8_0"] and result.folder is not None
    assert "left out" in result.stages[-2].summary
    assert sorted(path.name for path in result.folder.parent.iterdir() if path.is_dir()) == [NAME]


def test_the_whole_release(spec: Path) -> None:
    result = hubkit.release(spec)
    assert [one.stage for one in result.stages] == [*NAMES[:5], "variants", *NAMES[5:]]
    gguf, small = result.variants["GGUF"], result.variants["Q8_0"]
    assert gguf.judged.same == gguf.judged.evaluated.count == 4
    assert gguf.judged.evaluated.measures[0].test == "mcnemar"
    assert gguf.judged.evaluated.parity is not None and gguf.judged.evaluated.parity.equal
    sizes = [sum(file.size for file in one.files) for one in (gguf, small)]
    assert sizes[1] < 0.6 * sizes[0]
    assert [one.to.rpartition("/")[2] for one in result.verified] == [NAME, f"{NAME}-GGUF"]
    assert all(one.deep and one.transcript for one in result.verified)
    assert all(one.cached for one in hubkit.release(spec).stages)

    assert result.folder is not None
    main, own = result.folder, result.folder.with_name(f"{NAME}-GGUF")
    assert hubkit.check(main) == hubkit.check(own) == ()
    card, page = (folder.joinpath("README.md").read_text("utf-8") for folder in (main, own))
    assert f"| `{NAME}-GGUF` |" in card and "### Q8_0: llama.cpp" in card
    assert f"llama-server -m {NAME}/Q8_0/{NAME}-Q8_0.gguf" in card
    assert "base_model_relation: quantized" in page and f"base_model: {NAME}\n" in page
    assert "4 of 4 answers are the same text." in page and "custom_code" not in page
    assert f"ollama create {NAME.lower()} -f {NAME}-GGUF/Modelfile" in page
    told = json.loads((own / "provenance.json").read_text("utf-8"))
    listed = json.loads((own / "manifest.json").read_text("utf-8"))
    digests = {file["path"]: file["sha256"] for file in listed["files"]}
    assert told["weights"].items() <= digests.items()
    assert (
        told["base"].items()
        <= {
            file["path"]: file["sha256"]
            for file in json.loads((main / "manifest.json").read_text("utf-8"))["files"]
        }.items()
    )
    assert str(spec.parent) not in page + json.dumps(told)
