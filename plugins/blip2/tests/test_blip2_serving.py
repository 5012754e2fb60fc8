"""What others make of a folder of BLIP's is what hubkit makes of it: transformers' own call, the
code on the card, the server."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_transformers import TransformersEngine
from hubkit_transformers.inputs import arrangement, pieces, question
from hubkit_transformers.loading import load
from hubkit_transformers.options import Options
from hubkit_transformers.serving.generator import Ended, Generator
from hubkit_transformers.serving.requests import read_chat
from testing.tiny_blip import BLIPS, run_card, single
from testing.tiny_processor import ASK, jobs, make, pictures

from hubkit.sdk import SilentRun, read_answers, write_jsonl
from hubkit.sdk.processing import Processor


@pytest.fixture(scope="module", params=BLIPS)
def both(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    place, kind = tmp_path_factory.mktemp(request.param), BLIPS[request.param]
    base = make(kind, place / "base")
    return jobs(base, place / "jobs", single(kind), pictures(place / "images"))


def test_the_first_turn_is_what_transformers_itself_makes(both: Any) -> None:
    """Of the template that a merge writes, with the tokenizer's own special tokens."""
    arrange = arrangement(both[0].native, both[0].vision)
    found = question(single(BLIPS["opt"])[0], both[0].images, arrange)
    (own,) = pieces(arrange, found, 0, ())
    processor = Processor.open(both[0].native)
    message = [{"type": "image", "image": found.pictures[0]}, {"type": "text", "text": ASK}]
    theirs = processor.processor.apply_chat_template(
        [{"role": "user", "content": message}],
        chat_template=processor.template,
        **{"tokenize": True, "return_dict": True, "return_tensors": "pt"},
    )
    assert own.ids == tuple(theirs["input_ids"][0].tolist())
    for name, tensor in {**own.tokens, **own.pictures}.items():
        assert tensor.equal(theirs[name]), name


def test_the_cards_code_gives_the_model_the_same(both: Any, tmp_path: Path) -> None:
    """In the native folder, which AutoProcessor loads."""
    run_card(both[0], single(BLIPS["opt"])[0], tmp_path)


def test_it_is_served_as_it_is_asked(both: Any, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "records.jsonl", single(BLIPS["opt"])[:1])
    asked = replace(both[1], records=tmp_path / "records.jsonl", output=tmp_path)
    (answer,) = read_answers(tmp_path / TransformersEngine().generate(asked, SilentRun()).answers)
    data = base64.b64encode((both[0].images / "0.png").read_bytes()).decode()
    url = {"url": f"data:image/png;base64,{data}"}
    content = [{"type": "image_url", "image_url": url}, {"type": "text", "text": ASK}]
    talk = [{"role": "user", "content": content}]
    later = [*talk, {"role": "assistant", "content": "red"}, {"role": "user", "content": "And?"}]
    said = []
    loaded = load(both[1].native, both[1].model, both[1].vision, Options(threads=1, device="cpu"))
    with Generator(loaded) as generator:
        for messages in (talk, later, talk):
            body = {"model": "tiny", "max_tokens": 4, "messages": messages}
            job = generator.submit(read_chat(body, "tiny", generator.see))
            heard: list[Any] = []
            while not heard or not isinstance(heard[-1], Ended):
                heard.append(job.pieces.get(timeout=60))
                assert isinstance(heard[-1], (str, Ended)), heard[-1]
            said.append("".join(heard[:-1]))
    assert said[0] == said[2] == answer.texts[0]
