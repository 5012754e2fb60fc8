"""What the engine makes of servers that are slow, broken, or other than they say."""

from __future__ import annotations

import base64
import io
import threading
import time
from pathlib import Path

import pytest
from hubkit_openai import OpenAIEngine
from hubkit_openai.in_order import in_order

from hubkit.sdk import (
    CancelledError,
    DataError,
    EnvironmentFailure,
    Record,
    RefusedError,
    RemoteError,
    SilentRun,
    Turn,
    UsageError,
    read_answers,
)
from hubkit.sdk.testing import check_engine

READ, PARITY = Turn("<image>\nWhich digit is this?", ""), Turn("Is it even or odd?", "")


class Noted(SilentRun):
    def __init__(self, cancel_at: int = 1 << 30) -> None:
        self.notes: list[str] = []
        self.done, self._cancel_at = 0, cancel_at

    def note(self, message: str) -> None:
        self.notes.append(message)

    def progress(self, done, total, unit, **numbers) -> None:
        self.done = done

    def check_cancelled(self) -> None:
        if self.done >= self._cancel_at:
            raise CancelledError("interrupted", "again")


def answers(job, run=None):
    output = OpenAIEngine().generate(job, run or SilentRun())
    return list(read_answers(job.output / output.answers)), output


def test_conformance(job, odd):
    output = check_engine(OpenAIEngine(), job(odd.url))
    assert (output.prompt, output.prompt_ids) == ("", ())
    assert output.versions["server"] == "odd [1mserver"


def test_the_messages_and_the_history(job, odd):
    from PIL import Image

    odd.behave = lambda body, number: (200, odd.says(f" said {number} "), {})
    (found,), _ = answers(job(odd.url, [Record("d3", ("3.png",), (READ, PARITY))], "k-e-y"))
    assert found.texts == ("said 1", "said 2") and found.finish == ("stop", "stop")
    first, second = odd.bodies
    assert {key: first[key] for key in ("model", "max_tokens", "temperature")} == {
        "model": odd.names[0],
        "max_tokens": 8,
        "temperature": 0,
    }
    picture, text = first["messages"][0]["content"]
    assert text == {"type": "text", "text": "Which digit is this?"}
    sent = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(sent)).size == (56, 56)
    assert second["messages"] == [
        *first["messages"],
        {"role": "assistant", "content": " said 1 "},
        {"role": "user", "content": "Is it even or odd?"},
    ]
    assert odd.keys == ["Bearer k-e-y"] * 2


def test_who_writes_the_line_break(job, odd):
    answers(job(odd.url, [Record("d3", ("3.png",), (READ,))], line_break="message"))
    assert odd.bodies[0]["messages"][0]["content"][1]["text"] == "\nWhich digit is this?"


def test_several_at_once_and_in_order(job, odd, records):
    together = threading.Barrier(3, timeout=20)

    def behave(body, number):
        if number <= 3:
            together.wait()
            time.sleep(0.05 * (3 - number))
        return 200, odd.says(str(body["messages"][0]["content"])[-30:]), {}

    odd.behave = behave
    found, _ = answers(job(odd.url, concurrency=3))
    assert [one.id for one in found] == [record.id for record in records]
    assert odd.most_at_once == 3


def test_tries_again_and_gives_up(job, odd):
    odd.behave = lambda body, number: (
        (503, {"error": {"message": "loading"}}, {"Retry-After": "0.3"})
        if number < 3
        else (200, odd.says("7"), {})
    )
    run, one = Noted(), [Record("text", (), (Turn("Spell it.", ""),))]
    found, _ = answers(job(odd.url, one), run)
    assert found[0].texts == ("7",) and len(odd.bodies) == 3
    assert "record text: 127.0.0.1 answered 503: loading: trying again in" in run.notes[0]
    odd.behave = lambda body, number: (500, {"message": "broken"}, {})
    (job(odd.url).output / "answers.jsonl").unlink()
    with pytest.raises(RemoteError, match=r"record text: 127\.0\.0\.1 answered 500: broken"):
        answers(job(odd.url, one, patience=0.2))


def test_goes_on_where_it_stopped(job, odd, records):
    with pytest.raises(CancelledError):
        answers(job(odd.url, concurrency=1), Noted(cancel_at=4))
    odd.behave = lambda body, number: (200, odd.says("8"), {})
    found, _ = answers(job(odd.url, concurrency=1))
    assert [one.id for one in found] == [record.id for record in records]
    assert [one.texts[0] for one in found] == ["7"] * 4 + ["8"] * (len(records) - 4)


def test_a_cancelled_run_does_not_wait_for_the_server(job, odd):
    silent = threading.Event()
    odd.behave = lambda body, number: silent.wait(20) and (200, odd.says("7"), {})
    begun = time.monotonic()

    class Interrupted(SilentRun):
        def check_cancelled(self) -> None:
            if odd.bodies:
                raise CancelledError("interrupted", "again")

    with pytest.raises(CancelledError):
        answers(job(odd.url), Interrupted())
    assert time.monotonic() - begun < 5
    silent.set()


@pytest.mark.parametrize(
    ("reply", "kind", "told"),
    [
        ((200, {"model": "gpt-x"}, {}), RefusedError, "answers as 'gpt-x'"),
        ((200, {"finish": "content_filter"}, {}), DataError, "'content_filter'"),
        ((401, {"error": "bad key k-e-y"}, {}), EnvironmentFailure, r"401: bad key \*\*\*"),
        ((400, {"message": "too long"}, {}), DataError, "record text: .* 400: too long"),
        ((404, {}, {}), UsageError, "answered 404"),
        ((307, {}, {"Location": "http://127.0.0.1:9/v1"}), RemoteError, "answered 307"),
        ((200, {"raw": {"choices": []}}, {}), RemoteError, "not a chat completion"),
        ((200, {"raw": [1]}, {}), RemoteError, "not a JSON object"),
    ],
)
def test_what_is_refused(job, odd, reply, kind, told):
    status, said, headers = reply
    if status == 200:
        said = said.get("raw") or odd.says("7", **said)
    odd.behave = lambda body, number: (status, said, headers)
    with pytest.raises(kind, match=told):
        answers(job(odd.url, [Record("text", (), (Turn("Say", ""),))], "k-e-y", patience=0.2))


def test_another_model_is_not_asked(job, odd, base: Path):
    odd.names = ["other", "third"]
    with pytest.raises(UsageError, match=f"no model '{base.name}'; it lists: other, third") as told:
        answers(job(odd.url))
    assert f"models: {{{base.name}: NAME}}" in told.value.remedy and not odd.bodies
    found, _ = answers(job(odd.url, models={base.name: "other"}))
    assert found and {body["model"] for body in odd.bodies} == {"other"}


def test_nobody_listens(job):
    with pytest.raises(RemoteError, match="Connection refused"):
        answers(job("http://127.0.0.1:9/v1", patience=0.2))


def test_an_error_comes_in_its_turn():
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("two")
        return number

    seen = []
    with pytest.raises(ValueError, match="two"):
        for value in in_order(work, range(5), 2, SilentRun()):
            seen.append(value)
    assert seen == [0, 1]
