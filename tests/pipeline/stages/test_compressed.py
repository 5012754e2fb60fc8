"""A release with its model in FP8: made by llm-compressor, asked by transformers, published to the
rehearsal hub, downloaded and asked again. Each of the two needs an interpreter of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from testing.hub_fixtures import forget_accounts
from testing.projects import NAME, RELEASE, make_project

import hubkit
from hubkit.rehearsal import serve
from hubkit.weights.model import open_model

MAKES, ASKS = "HUBKIT_TEST_LLM_COMPRESSOR", "HUBKIT_TEST_COMPRESSED_TENSORS"
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not {MAKES, ASKS} <= set(os.environ), reason=f"{MAKES} and {ASKS} name no interpreters"
    ),
]
TOKEN = "hf_compressed9876543210zyxwvutsrqp"
FP8 = """\
publish:
  - to: huggingface:acme/{name}
    options: {{endpoint: "{url}", token_env: MY_TOKEN, patience: 20.0}}
verify: {{deep: true}}
variants:
  - name: FP8
    exporter: compressed
    environment: {{python: {makes}}}
    options: {{threads: 1}}
    ask: {{engine: transformers, environment: {{python: {asks}}}, options: {{threads: 1}}}}
    require: {{drop: "<= 50 %"}}
"""


def test_a_release_in_fp8(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "hub"
    place.mkdir()
    with serve(place / "data", token=TOKEN) as hub:
        forget_accounts(place, monkeypatch, TOKEN)
        monkeypatch.setenv("HOME", str(place))
        path = make_project(tmp_path / "release", digits)
        given = {"name": NAME, "url": hub.url, "makes": os.environ[MAKES], "asks": os.environ[ASKS]}
        path.write_text(RELEASE.partition("publish:")[0] + FP8.format(**given), "utf-8")
        result = hubkit.release(path)
    assert [one.deep for one in result.verified] == [True, True]
    assert result.variants["FP8"].judged.evaluated.count == 4
    (folder,) = (path.parent / ".hubkit").glob(f"*/package/{NAME}-FP8")
    assert open_model(folder).family.name == "internvl_hf" and hubkit.check(folder) == ()
    card = (folder / "README.md").read_text("utf-8")
    assert f"vllm serve {NAME}-FP8" in card and "base_model_relation: quantized" in card
