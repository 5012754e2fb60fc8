"""What a card tells its readers to type, typed: the release is at a hub, and the hub's and
transformers' own clients do the rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from testing.projects import BASE

import hubkit
from hubkit.packaging import card, manifest
from hubkit.pipeline.targets import first_download
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import serve
from hubkit.weights.model import open_model

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("card_snippets")]

NAME = "InternVL2-Tiny-Card"
TOKEN = "hubkit-card-snippets"
QUESTION = "What is in this picture?"


@dataclass
class Reader:
    """Somebody with the hubs' clients, a picture and an empty folder."""

    folder: Path
    url: str

    def shell(self, script: str) -> str:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(self.folder / "hf"),
            "GIT_ASKPASS": str(self.folder / "token"),
            "MODELSCOPE_ENDPOINT": self.url,
            "MODELSCOPE_API_TOKEN": TOKEN,
            "MODELSCOPE_CACHE": str(self.folder / "ms"),
        }
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()


def _written(folder: Path, to: str) -> None:
    """A model folder with the card of a release that was published to `to` first."""
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    model = open_model(folder)
    found = first_download([(to, {})])
    assert found is not None
    facts = card.CardInput(
        repository=found[0],
        tag="v1.0.0",
        created="2026-01-31",
        base=card.Base("hubkit/InternVL2-Tiny", card.License("apache-2.0"), "the test"),
        family=model.family.card(model.config),
        download=found[1],
    )
    card.write_card(folder, facts)
    hubkit.track(folder)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("hub"), token=TOKEN) as hub:
        yield hub.url


@pytest.fixture
def reader(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setenv("HUBKIT_CARD_TOKEN", TOKEN)
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "token").write_text(f"#!/bin/sh\necho {TOKEN}\n")
    (folder / "token").chmod(0o700)
    Image.radial_gradient("L").resize((100, 60)).save(folder / "picture.png")
    return Reader(folder, url)


def _publish(folder: Path, to: str, url: str) -> None:
    options = {"token_env": "HUBKIT_CARD_TOKEN", "endpoint": url}
    if to.startswith("git:"):
        del options["endpoint"]
    hubkit.push(folder, [to], options=options)


def _blocks(page: str) -> list[tuple[str, str]]:
    section = re.split(r"\n## (?:How to use it|使用方法)\n", page)[1].split("\n## ", 1)[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S)


def test_every_snippet_of_a_card_runs(reader: Reader, tmp_path: Path) -> None:
    """Those of servers need a GPU: Python is compiled only. The Chinese page has the same ones."""
    to = f"huggingface:somebody/{NAME}"
    folder = tmp_path / NAME
    _written(folder, to)
    _publish(folder, to, reader.url)
    english, chinese = (
        _blocks((folder / page).read_text("utf-8")) for page in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese
    (download, *others) = english
    assert download == ("bash", f"hf download somebody/{NAME} --local-dir {NAME}\n")
    reader.shell(download[1])
    assert (reader.folder / NAME / "README.md").read_bytes() == (folder / "README.md").read_bytes()
    said = []
    for language, text in others:
        if re.search("lmdeploy|vllm|sglang", text):
            assert language == "bash" or compile(text, "card", "exec")
        elif language == "bash":
            reader.shell(text)
        else:
            (reader.folder / "snippet.py").write_text(text, "utf-8")
            strict = "" if "trust_remote_code" in text else "-W error::FutureWarning"
            said.append(reader.shell(f"python {strict} snippet.py").splitlines()[-2:])
    native, remote = said
    asked = hubkit.smoke(folder, images=[reader.folder / "picture.png"], prompts=[QUESTION])
    assert native[-1] == remote[0] == asked.transcript[0].answers[0]


@pytest.mark.parametrize("scheme", ["huggingface", "modelscope", "git"])
def test_each_hubs_command_downloads_the_release(
    reader: Reader, tmp_path: Path, scheme: str
) -> None:
    place = f"{reader.url}/else/{NAME}.git" if scheme == "git" else f"{scheme}-users/{NAME}"
    hub, target = plugins().hub_of(f"{scheme}:{place}")
    folder = tmp_path / NAME
    _written(folder, f"huggingface:somebody/{NAME}")
    _publish(folder, f"{scheme}:{place}", reader.url)
    reader.shell(hub.download_command(target, {}))
    for file in manifest.read(folder).files:
        got = (reader.folder / NAME / file.path).read_bytes()
        assert got == (folder / file.path).read_bytes(), file.path
