"""The report in a real browser: what it shows, and that hostile data stay text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from testing.projects import BASE

import hubkit

HOSTILE = '<script>document.title = "stolen"</script><img src=x onerror="document.title = 1">'


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    programs = (
        shutil.which("chromium") or shutil.which("chromium-browser"),
        shutil.which("chromedriver"),
    )
    if None in programs:
        pytest.skip("there is no chromium with its chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service").Service(programs[1])
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (
        *(
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
        ),
        *("disable-component-update", "disable-sync", f"user-data-dir={tmp_path / 'chromium'}"),
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_window_size(1280, 1400)
    yield driver
    driver.quit()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    items = []
    for number in range(8):
        Image.new("RGB", (60 + 30 * number, 56), (30 * number, 90, 200)).save(
            tmp_path / f"{number}.png"
        )
        talk = [
            {"from": "human", "value": "<image>\nWhich dish?"},
            {"from": "gpt", "value": "tofu " * (number + 1)},
        ]
        items.append({"id": f"r{number}", "image": f"{number}.png", "conversations": talk})
    items[1]["conversations"][1]["value"] = HOSTILE
    items[2]["id"] = HOSTILE
    items[3]["image"] = f"{HOSTILE.replace('/', '')}.png"
    items.append({**items[0], "id": "again"})
    path = tmp_path / "data.json"
    path.write_text(json.dumps(items))
    return path


@pytest.mark.integration
def test_the_report_in_a_browser(tmp_path: Path, source: Path, browser: Any) -> None:
    settings = hubkit.PrepareSettings(
        skip=True, holdout=2, base=BASE, max_length=70, license="cc-by-nc-nd-4.0"
    )
    done = hubkit.prepare(source, tmp_path / "out", settings)
    browser.get((tmp_path / "out" / "report.html").as_uri())

    def texts(selector: str) -> list[str]:
        return [one.text for one in browser.find_elements("css selector", selector)]

    assert browser.title == "data.json: data report"
    assert "read with llava_json: 8 of 9 records valid" in texts("#summary")[0].replace("\n", " ")
    assert (
        "images that are missing or broken" in texts("#problems td")[0]
        and "<script>" in texts("#problems")[0]
    )
    assert "cc-by-nc-nd-4.0" in texts("#terms")[0] and "no-derivatives" in texts("#terms")[0]
    pictures = browser.find_elements("css selector", "figure img")
    assert len(pictures) == 8
    assert all(
        browser.execute_script("return arguments[0].naturalWidth", one) > 0 for one in pictures
    )
    titles = texts("h3")
    assert titles == [
        "Turns of a record",
        "Pictures of a record",
        "Tiles of a picture",
        "Tokens of a record",
        "Characters of a question",
        "Characters of an answer",
        "Most frequent answers",
    ]
    assert "languages, as the scripts suggest en Latin 100 %" in texts("#texts")[0]
    assert texts(".answers .text") == ["tofu "]
    bars = browser.find_elements("css selector", ".bar")
    assert max(bar.size["width"] for bar in bars) > 50
    assert browser.find_elements("css selector", ".bar.over")
    assert done.report.lengths is not None and done.report.lengths.over > 0
    assert "records that repeat another's text and pictures 1" in texts("#notice")[0].replace(
        "\n", " "
    )
    assert any(HOSTILE in text for text in texts("figcaption"))
    assert (
        browser.title == "data.json: data report"
        and browser.find_elements("css selector", "script") == []
    )
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert "http" not in (tmp_path / "out" / "report.html").read_text("utf-8").replace(
        "http-equiv", ""
    )


def test_hostile_data_stay_text(tmp_path: Path, source: Path) -> None:
    hubkit.prepare(source, None, hubkit.PrepareSettings(skip=True), report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<script" not in page and "&lt;script&gt;" in page and "<img src=x" not in page


def test_samples_are_drawn_and_show_every_turn_and_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 56), "teal").save(tmp_path / name)
    talk = [
        {"from": "human", "value": "<image>\n<image>\n哪道菜更辣？"},
        {"from": "gpt", "value": "左边的"},
        {"from": "human", "value": "Why?"},
        {"from": "gpt", "value": "It has more chilli."},
    ]
    items = [
        {"id": f"r{number}", "image": ["a.png", "b.png"], "conversations": talk}
        for number in range(40)
    ]
    (tmp_path / "data.json").write_text(json.dumps(items))
    report = hubkit.prepare(
        tmp_path / "data.json", None, hubkit.PrepareSettings(), report=tmp_path / "page.html"
    ).report
    ids = [sample.id for sample in report.samples]
    assert len({*ids}) == 24 and ids != [f"r{number}" for number in range(24)]
    assert report.samples[0].turns[1] == ("Why?", "It has more chilli.")
    assert report.texts is not None and report.texts.languages == ("en", "zh")
    assert report.texts.frequent == (("左边的", 40), ("It has more chilli.", 40))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "24 records, drawn with seed 0" in page and page.count("<img src=") == 48
