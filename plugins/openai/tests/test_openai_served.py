"""Against a real server of a real model: `hubkit serve` with the transformers engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import hubkit
from hubkit.environments import CURRENT
from hubkit.errors import EnvironmentFailure, UsageError
from hubkit.inference.engines import Compared
from hubkit.inference.questions import Questioning, view_for
from hubkit.inference.servers import address, server_for
from hubkit.inference.serving import Serving, answering
from hubkit.inference.smoke import picture_record, smoke
from hubkit.reporting import SilentReporter
from hubkit.sdk.codec import encode
from hubkit.weights.model import open_model

KEY = "key-of-the-server"


@pytest.fixture(scope="module")
def served(base: Path) -> Iterator[Serving]:
    with hubkit.serve(base, options={"threads": 1}, api_key=KEY) as server:
        yield server


@pytest.fixture
def known(served: Serving, monkeypatch: pytest.MonkeyPatch) -> Serving:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{served.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return served


@pytest.fixture
def data(images: Path, tmp_path: Path) -> Path:
    rows = [
        {
            "id": str(digit),
            "image": f"{digit}.png",
            "conversations": [
                {"from": "human", "value": "<image>\nWhich digit is this?"},
                {"from": "gpt", "value": str(digit)},
                {"from": "human", "value": "Is it even or odd?"},
                {"from": "gpt", "value": "odd" if digit % 2 else "even"},
            ],
        }
        for digit in range(10)
    ]
    (tmp_path / "digits.json").write_text(json.dumps(rows))
    return tmp_path / "digits.json"


@pytest.mark.integration
def test_smoke_and_evaluate_as_the_engine_behind_it(
    base: Path, images: Path, data: Path, known: Serving, tmp_path: Path
) -> None:
    """Texts and scores of the same model, asked in the worker and through its server."""
    records = [
        picture_record(images / f"{n}.png", ("Which digit is this?", "Spell it.")) for n in (1, 8)
    ]
    questioning = Questioning("transformers", CURRENT, {"threads": 1}, 8, records, Path("/"))
    model = open_model(base)
    view = view_for("transformers", model, tmp_path / "native", SilentReporter())
    asked = smoke(
        questioning, model, view, tmp_path / "out", SilentReporter(), compare_with="openai"
    )
    assert asked.compared == Compared("openai", 4, 0)
    through = hubkit.smoke(base, engine="openai", images=[images / "8.png"], prompts=["Spell it."])
    assert (through.prompt, through.template) == ("", "the server's")
    assert KEY not in json.dumps(encode(through)) and known.url not in json.dumps(encode(through))
    through, direct = (
        hubkit.evaluate(base, data, images=images, engine=engine)
        for engine in ("openai", "transformers")
    )
    assert encode(through) == encode(direct) and through.score >= 0.8


@pytest.mark.integration
def test_the_demo_asks_the_server_that_is_there(base: Path, known: Serving) -> None:
    from hubkit.demo_page.client import Answer

    with answering(base, engine="openai") as server:
        assert server.name == known.name and not server.elsewhere
        answer = Answer(server, [{"role": "user", "content": "Spell it."}], 8, 0)
        answer.start()
        answer.join(60)
    assert (answer.text, answer.error) == ("three", "")
    known.check()


@pytest.mark.integration
def test_a_server_with_another_model(base: Path, known: Serving) -> None:
    options = {"models": {base.name: "InternVL2-Other"}}
    with (
        pytest.raises(UsageError, match="no model 'InternVL2-Other'"),
        answering(base, engine="openai", options=options),
    ):
        pass
    with pytest.raises(UsageError, match="no model 'InternVL2-Other'"):
        hubkit.smoke(base, engine="openai", options=options)


def test_the_address_and_the_key_come_from_the_environment(monkeypatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentFailure, match="OPENAI_BASE_URL does not say which"):
        address("openai", {})
    monkeypatch.setenv("MY_URL", "https://me:secret@host/v1")
    with pytest.raises(EnvironmentFailure, match="MY_URL is not an http") as told:
        address("openai", {"url_env": "MY_URL"})
    assert "secret" not in str(told.value)
    monkeypatch.setenv("MY_URL", "https://host.example/api/v1/")
    with pytest.raises(EnvironmentFailure, match="MY_KEY, named by the option key_env"):
        address("openai", {"url_env": "MY_URL", "key_env": "MY_KEY"})
    assert address("transformers", {}) is None
    monkeypatch.setenv("MY_KEY", KEY)
    options = {"url_env": "MY_URL", "key_env": "MY_KEY"}
    assert KEY not in repr(address("openai", options))
    with server_for("openai", options) as server:
        assert server.url == "https://host.example/api/v1"
        assert server.key_file.read_text() == KEY
        assert server.key_file.stat().st_mode & 0o077 == 0
    assert not server.key_file.exists()
