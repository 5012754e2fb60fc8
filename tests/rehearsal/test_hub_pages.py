"""The web pages in a real browser, and what they must not let through."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as http
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from testing.hubclients import NAME

from hubkit.rehearsal import Running

CARD = """---
license: mit
pipeline_tag: image-text-to-text
language: [en, zh]
---
# A **model** of dishes

| Metric | Base | This |
|---|---:|---:|
| accuracy | 40% | 90% |

![a picture](assets/red.png) [the configuration](./config.json) [away](https://example.invalid/)

<script>document.title = "stolen"</script>
<img src="x" onerror="document.title = 'stolen'"> <a href="javascript:alert(1)">click</a>
"""


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + b"\xc8\x32\x32" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def published(hub: Running) -> str:
    """A private model with a card, a picture, a tag and a pull request; the commit's id."""
    api = HfApi(endpoint=hub.url, token=hub.token)
    api.create_repo(NAME, private=True)
    files = {
        "README.md": CARD.encode(),
        "assets/red.png": png(30, 20),
        "config.json": b"{}",
        "model.safetensors": b"w" * 2500,
    }
    commit = api.create_commit(
        NAME,
        [CommitOperationAdd(path, data) for path, data in files.items()],
        commit_message="Release v1",
    )
    api.create_tag(NAME, tag="v1")
    api.upload_file(
        repo_id=NAME,
        path_in_repo="x.txt",
        path_or_fileobj=b"x",
        commit_message="A change",
        create_pr=True,
    )
    return commit.oid


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    programs = (
        shutil.which("chromium") or shutil.which("chromium-browser"),
        shutil.which("chromedriver"),
    )
    if None in programs:
        pytest.skip("there is no chromium with its chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service").Service(programs[1])
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
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
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_window_size(1280, 1000)
    driver.implicitly_wait(5)
    yield driver
    driver.quit()


@pytest.mark.integration
def test_a_browser_finds_its_way(hub: Running, published: str, browser: Any) -> None:
    def text(selector: str) -> str:
        return str(browser.find_element("css selector", selector).text)

    def follow(how: str, what: str) -> None:
        """Clicks, and waits until the page that was clicked on is gone: else the next look may
        still be at it."""
        from selenium.webdriver.support.expected_conditions import staleness_of
        from selenium.webdriver.support.wait import WebDriverWait

        element = browser.find_element(how, what)
        element.click()
        WebDriverWait(browser, 20).until(staleness_of(element))

    browser.get(hub.url)
    assert "1 private model is shown after you sign in" in text("main")
    browser.get(f"{hub.url}/{NAME}")
    assert text("main h1") == "401"
    follow("link text", "Sign in")
    browser.find_element("name", "token").send_keys("wrong token")
    follow("css selector", "form.login button")
    assert "does not know that token" in text("main")
    browser.find_element("name", "token").send_keys(hub.token)
    follow("css selector", "form.login button")
    follow("partial link text", "InternVL2-Test")
    assert text("article h1") == "A model of dishes" and text("article td") == "accuracy"
    picture = browser.find_element("css selector", "article img[alt='a picture']")
    assert browser.execute_script("return arguments[0].naturalWidth", picture) == 30
    assert browser.title == f"{NAME} · rehearsal hub"
    assert (
        browser.find_elements(
            "css selector", "article script, article [onerror], article a[href^=javascript]"
        )
        == []
    )
    follow("partial link text", "Files")
    rows = [row.text for row in browser.find_elements("css selector", "table.files tbody tr")]
    assert rows[0] == "assets/" and any(
        row.startswith("model.safetensors LFS 2.5 kB ") for row in rows
    )
    follow("link text", "assets/")
    assert "red.png" in text("table.files")
    follow("link text", "Commits")
    assert [item.text for item in browser.find_elements("css selector", ".log b")] == [
        "Release v1",
        "initial commit",
    ]
    follow("partial link text", "Releases")
    assert text(".log .tag") == "v1" and published[:12] in text(".log")
    follow("partial link text", "Pull requests")
    assert text(".log b") == "#1 A change"
    follow("link text", "Events")
    assert text("table.events tbody tr").endswith("A change rehearsal")
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") != light
    severe = [
        entry
        for entry in browser.get_log("browser")
        if entry["level"] == "SEVERE" and "401" not in entry["message"]
    ]
    assert [
        entry
        for entry in severe
        if "403" not in entry["message"] and "/resolve/" not in entry["message"]
    ] == []
    follow("css selector", "form button.plain")
    browser.find_element("link text", "Sign in")
    browser.get(f"{hub.url}/{NAME}")
    assert text("h1") == "401"


def test_a_browser_with_an_old_token_can_sign_in(hub: Running, published: str) -> None:
    with http.Client(
        base_url=hub.url, cookies={"m_session_id": "of-yesterday"}, headers={"accept": "text/html"}
    ) as client:
        assert client.get("/").status_code == 200 and client.get(f"/{NAME}").status_code == 401
        assert client.get("/login").status_code == 200
        answer = client.post("/login", data={"token": hub.token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (
            "HttpOnly" in answer.headers["set-cookie"]
            and "samesite=strict" in answer.headers["set-cookie"].lower()
        )


def test_pages_without_a_browser(hub: Running, published: str) -> None:
    with http.Client(base_url=hub.url, headers={"accept": "text/html"}) as anonymous:
        assert NAME not in anonymous.get("/").text and NAME not in anonymous.get("/events").text
        for path in (
            f"/{NAME}",
            f"/{NAME}/tree/main",
            f"/{NAME}/resolve/main/config.json",
            f"/{NAME}/commits/main",
        ):
            assert anonymous.get(path).status_code == 401
    with http.Client(base_url=hub.url, headers={"authorization": f"Bearer {hub.token}"}) as client:
        page = client.get(f"/{NAME}")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        place = f"/{NAME}/resolve/{published}"
        assert (
            f'src="{place}/assets/red.png"' in page.text
            and f'href="{place}/config.json"' in page.text
        )
        assert (
            "<script" not in page.text
            and "javascript:" not in page.text
            and 'onerror="' not in page.text
        )
        file = client.get(f"{place}/README.md")
        assert file.headers["content-type"].startswith("text/plain")
        assert file.headers["content-security-policy"].startswith("sandbox")
        for tail in (
            "tree/v1",
            "tree/main/assets",
            f"commit/{published}",
            "commits/main",
            "releases",
            "discussions",
            "discussions/1",
        ):
            assert client.get(f"/{NAME}/{tail}").status_code == 200
            assert client.get(f"/models/{NAME}/{tail}").status_code == 200
        assert client.get(f"/{NAME}/tree/nothing").status_code == 404
        assert client.get("/static/style.css").headers["content-type"].startswith("text/css")
