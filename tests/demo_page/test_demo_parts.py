"""The demo without a model: conversations, pictures, examples, words, and the page's web server."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import io
import json
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from testing.projects import BASE, NAME, make_project

import hubkit
from hubkit.demo_page.client import Answer
from hubkit.demo_page.conversation import Picture, Said, Turn, messages, take_picture
from hubkit.demo_page.examples import drawn, from_records
from hubkit.demo_page.release import released
from hubkit.demo_page.texts import CHINESE, ENGLISH, preferred
from hubkit.errors import DataError, EnvironmentFailure, UsageError
from hubkit.inference.serving import Serving
from hubkit.sdk import PictureError, Record, write_jsonl
from hubkit.sdk import Turn as RecordTurn

NOBODY: Any = None
VISITOR: Any = SimpleNamespace(session_hash="a-tab")


def nowhere(name: str = "InternVL2-Nowhere") -> Serving:
    """A server that has gone."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return Serving(f"http://127.0.0.1:{port}", name, "key", NOBODY)


def test_each_model_has_its_own_answers_as_history(pictures: Path) -> None:
    picture = Picture(pictures / "3.png", pictures / "3.png", "image/png")
    turns = (
        Turn("Which?", (picture,), (Said("3", done=True), Said("5", done=True))),
        Turn("Sure?", (), (Said("yes", done=True), Said("ye", error="broke", done=True))),
        Turn("Why?", (), (Said(), Said())),
    )
    first, second = messages(turns, 0), messages(turns, 1)
    assert [m["role"] for m in first] == ["user", "assistant"] * 2 + ["user"]
    assert [m["content"] for m in first[1:]] == ["3", "Sure?", "yes", "Why?"]
    assert [m["content"] for m in second[1:]] == ["5", "Why?"], (
        "a turn that failed is no part of the history"
    )
    image, text = first[0]["content"]
    sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert sent == (pictures / "3.png").read_bytes() and text == {"type": "text", "text": "Which?"}


def test_pictures_are_sent_as_the_visitor_sees_them(tmp_path: Path) -> None:
    plain, turned, wide = tmp_path / "plain.jpg", tmp_path / "turned.jpg", tmp_path / "wide.bmp"
    Image.new("RGB", (40, 20), "red").save(plain)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(turned, exif=exif)
    Image.new("L", (5000, 500)).save(wide)
    assert take_picture(plain, tmp_path / "sent") == Picture(plain, plain, "image/jpeg")
    found = [take_picture(path, tmp_path / "sent") for path in (turned, wide)]
    assert [Image.open(one.sent).size for one in found] == [(20, 40), (4096, 410)]
    assert {one.kind for one in found} == {"image/png"} and found[0].shown == turned


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n", "bomb", "torn"]
)
def test_what_is_no_picture(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "file.png"
    out = io.BytesIO()
    Image.new("1", (9000, 9000) if data == "bomb" else (64, 64)).save(out, "PNG")
    path.write_bytes(
        data
        if isinstance(data, bytes)
        else out.getvalue()[: len(out.getvalue()) - (30 if data == "torn" else 0)]
    )
    with pytest.raises(PictureError, match=r"^file\.png$"):
        take_picture(path, tmp_path)


def test_examples(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    turns = (RecordTurn("<image>\nWhich digit is this?", "1"), RecordTurn("And this? <image>", "2"))
    write_jsonl(
        file,
        [
            Record("a", ("1.png", "2.png"), turns),
            *(Record(str(n), (), (RecordTurn("Hi", ""),)) for n in range(20)),
        ],
    )
    found = from_records(file, pictures)
    assert (found[0].text, found[0].pictures) == (
        "Which digit is this?",
        (pictures / "1.png",),
    ) and len(found) == 12
    write_jsonl(file, [Record("b", ("../secret.png",), turns[:1])])
    with pytest.raises(DataError, match=r"records\.jsonl, record b: no picture \.\./secret\.png"):
        from_records(file, pictures)
    file.write_bytes(b"\xff")
    with pytest.raises(UsageError, match="cannot be read"):
        from_records(file, pictures)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="holds no records"):
        from_records(file, pictures)
    assert {path.name for one in drawn(tmp_path) for path in one.pictures} == {
        "shapes.png",
        "bars.png",
    }


def test_every_word_is_in_both_languages() -> None:
    english, chinese = dataclasses.asdict(ENGLISH), dataclasses.asdict(CHINESE)
    assert all(english.values()) and all(
        any("\u4e00" <= c <= "\u9fff" for c in text) for text in chinese.values()
    )
    assert [
        preferred(header) for header in ("zh-CN,zh;q=0.9,en;q=0.8", "de, en-GB;q=0.5", "", "fr")
    ] == ["zh", "en", "en", "en"]


def test_a_server_that_has_gone_is_an_error_of_the_answer() -> None:
    answer = Answer(nowhere(), [{"role": "user", "content": "Hi"}], 8, 0)
    answer.start()
    answer.join(10)
    assert answer.done and answer.text == "" and answer.error.startswith("ConnectionRefusedError")


def get(url: str, path: str, **headers: str) -> tuple[int, Any, bytes]:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from hubkit.demo_page.launch import SETTINGS

    for name, value in {**SETTINGS, "GRADIO_TEMP_DIR": str(tmp_path / "uploads")}.items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("gradio")
    from hubkit.demo_page import page

    return page


def test_the_page_is_for_this_machine_and_loads_nothing_from_elsewhere(
    page: Any, tmp_path: Path
) -> None:
    from hubkit.demo_page.web import running

    (tmp_path / "secret").write_text("secret")
    blocks = page.build(
        (nowhere(), nowhere("InternVL2-After")), drawn(tmp_path), "zh", tmp_path / "sent"
    )
    with running(blocks, page.appearance(), 0) as url:
        status, headers, body = get(url, "/")
        assert status == 200 and headers["content-security-policy"].startswith(
            "default-src 'self'; script-src 'self'"
        )
        for elsewhere in (
            b"fonts.googleapis",
            b"fonts.gstatic",
            b"cdnjs",
            b"cdn.jsdelivr",
            b"unpkg",
        ):
            assert elsewhere not in body
        config = json.loads(get(url, "/config")[2])
        assert (config["analytics_enabled"], config["title"]) == (False, "InternVL2-After")
        assert CHINESE.clear in json.dumps(config, ensure_ascii=False)
        assert get(url, "/", Host="elsewhere.example")[0] == 421
        for path in (tmp_path / "secret", Path("/etc/passwd"), Path(__file__)):
            assert get(url, f"/gradio_api/file={path}")[0] in (403, 404), path
        with (
            pytest.raises(EnvironmentFailure, match="cannot listen on port"),
            running(blocks, {}, urlsplit(url).port or 0),
        ):
            pass
    with pytest.raises(ConnectionRefusedError):
        get(url, "/")


def test_asking_shows_errors_in_the_page_and_forgets_nothing(page: Any, tmp_path: Path) -> None:
    from hubkit.demo_page.texts import TEXTS

    shown = page.Page((nowhere(), nowhere("<b>after</b>")), tmp_path, TEXTS["en"])
    *_, (before, after, turns, box, again) = shown.ask(
        {"text": " Hi ", "files": []}, (), 8, 0, "en", VISITOR
    )
    assert before == after and [one["role"] for one in before] == ["user", "assistant"]
    assert before[1]["content"].startswith("⚠️ No answer: ConnectionRefusedError")
    assert len(turns) == 1 and again.interactive is True and box.value == {"text": "", "files": []}
    *_, (before, after, turns, *_rest) = shown.ask(
        {"text": "And?", "files": []}, turns, 8, 0, "zh", VISITOR
    )
    assert [one["content"] for one in before if one["role"] == "user"] == ["Hi", "And?"]
    assert before[-1]["content"].startswith("⚠️ 没有得到回答")
    *_, (_, _, again_turns, *_rest) = shown.ask_again({}, turns, 8, 0, "en", VISITOR)
    assert [turn.text for turn in again_turns] == ["Hi", "And?"]
    assert "<b>" not in shown._header(TEXTS["en"])


def test_a_release_shows_its_model_and_what_it_held_out(tmp_path: Path, digits: Path) -> None:
    spec = make_project(tmp_path / "project", digits)
    hubkit.release(spec, until="prepare")
    with pytest.raises(UsageError, match="no model yet") as refused:
        released(spec)
    assert "--until merge" in refused.value.remedy
    merged = spec.parent / ".hubkit" / NAME / "merge" / NAME
    shutil.copytree(BASE, merged)
    found = released(spec)
    assert (found.model, found.base) == (merged, spec.parent / "base")
    examples = from_records(found.examples, found.images)
    assert len(examples) == 6 and examples[0].text == "Which digit is this?"
