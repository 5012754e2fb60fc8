"""The demo as people use it, in Chromium: two visitors, pictures, several turns, both models, both
languages."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from hubkit.demo_page import Launched
from hubkit.demo_page import demo as launch

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("demo")]
SECONDS = 60.0
WATCH = """
window.changes = 0
new MutationObserver(seen => { window.changes += seen.length })
  .observe(document.querySelector("#talk-0"), {childList: true, characterData: true, subtree: true})
"""


class Visitor:
    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.find("#box textarea")

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        script = (
            "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText.trim())"
        )
        return [str(text) for text in self.driver.execute_script(script, selector)]

    def said(self, place: int) -> list[str]:
        return self.texts(f"#talk-{place} .bot.message")

    def asked(self, place: int) -> list[str]:
        return [text for text in self.texts(f"#talk-{place} .user.message") if text]

    def wait(self, what: Callable[[], Any]) -> Any:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(0.1)
        raise AssertionError(
            (self.said(0), self.asked(0), self.texts("#box"), self.texts(".toast-wrap"))
        )

    def attach(self, *pictures: Path) -> None:
        self.find("#box input[type=file]").send_keys("\n".join(map(str, pictures)))
        self.wait(
            lambda: (
                len(self.driver.find_elements("css selector", "#box .thumbnail-item"))
                == len(pictures)
            )
        )

    def ask(self, text: str, answers: int) -> list[list[str]]:
        """Asks, and waits until each model has given `answers` answers; what they said."""
        self.find("#box textarea").send_keys(text)
        self.find("#box [data-testid=submit-button]").click()

        def finished() -> bool:
            ready = self.driver.find_elements("css selector", "#box [data-testid=submit-button]")
            return bool(ready) and all(
                len(self.said(n)) == answers and "…" not in self.said(n) for n in (0, 1)
            )

        self.wait(finished)
        return [self.said(0), self.said(1)]

    def elsewhere(self) -> set[str]:
        """Hosts that the page asked for anything, this machine not among them."""
        asked = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        urls = [
            one["params"]["request"]["url"]
            for one in asked
            if one["method"] == "Network.requestWillBeSent"
        ]
        return {str(urlsplit(url).hostname) for url in urls if url.startswith(("http", "ws"))} - {
            "127.0.0.1"
        }


@pytest.fixture(scope="module")
def demo(models: tuple[Path, Path]) -> Iterator[Launched]:
    base, tuned = models
    with launch(tuned, compare=base, options={"threads": 1}) as launched:
        yield launched
        for server in launched.servers:
            server.check()


def test_two_visitors(demo: Launched, open_browser: Any, pictures: Path, tmp_path: Path) -> None:
    """One driver for both, each in a tab: cookies and storage are the same, and yet nothing of the
    talk is shared."""
    driver = open_browser("en-US")
    first = Visitor(driver, demo.url)
    tab = driver.current_window_handle
    assert first.texts("#talks label") == ["Before · InternVL2-Base", "After · InternVL2-Tuned"]
    first.attach(pictures / "7.png")
    assert first.ask("Which digit is this?", 1) == [["7"], ["7"]]
    widths = (
        "return [...document.querySelectorAll('.talk .user.message img')].map(one => "
        "one.naturalWidth)"
    )
    first.wait(lambda: driver.execute_script(widths) == [56, 56])
    assert first.ask("Is it even or odd?", 2) == [["7", "odd"], ["7", "odd"]]

    driver.switch_to.new_window("tab")
    second = Visitor(driver, demo.url)
    assert second.said(0) == second.asked(0) == []
    second.attach(pictures / "4.png", pictures / "2.png")
    (said, also) = second.ask("What is in this picture?", 1)
    assert said == also and said[0]
    assert len(driver.execute_script(widths)) == 4, "two pictures in each talk"

    driver.switch_to.window(tab)
    assert first.said(0) == ["7", "odd"]
    assert first.ask("Is it even or odd?", 3)[0][:2] == ["7", "odd"]
    assert first.asked(1) == ["Which digit is this?", "Is it even or odd?", "Is it even or odd?"]
    driver.execute_script(WATCH)
    first.find("#retry").click()
    first.wait(lambda: driver.execute_script("return window.changes > 0"))
    first.wait(
        lambda: (
            not first.find("#retry").get_attribute("disabled")
            and "…" not in first.said(0) + first.said(1)
        )
    )
    assert first.said(0)[:2] == ["7", "odd"] and len(first.said(0)) == 3
    first.find("#clear").click()
    first.wait(lambda: first.said(0) == first.said(1) == [])
    assert first.ask("Spell it.", 1) == [["three"], ["three"]], "nothing is left of the picture"

    assert first.elsewhere() == set()
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_chinese_examples_and_what_cannot_be_read(
    demo: Launched, open_browser: Any, tmp_path: Path
) -> None:
    visitor = Visitor(open_browser("zh-CN,zh"), demo.url)
    visitor.wait(lambda: visitor.texts("#clear") == ["新对话"])
    visitor.wait(
        lambda: (
            visitor.texts("#talks label") == ["微调前 · InternVL2-Base", "微调后 · InternVL2-Tuned"]
        )
    )
    (tmp_path / "broken.png").write_bytes(b"no picture")
    visitor.attach(tmp_path / "broken.png")
    visitor.find("#box textarea").send_keys("这是什么？")
    visitor.find("#box [data-testid=submit-button]").click()
    visitor.wait(
        lambda: any(
            "broken.png 不是可以读取的图片" in text for text in visitor.texts(".toast-wrap")
        )
    )
    assert visitor.said(0) == []
    assert visitor.find("#box textarea").get_attribute("placeholder").startswith("输入问题")
    visitor.find(".toast-close").click()
    visitor.wait(lambda: not visitor.texts(".toast-close"))
    visitor.driver.find_elements("css selector", "#language input")[0].click()
    visitor.wait(lambda: visitor.texts("#clear") == ["New conversation"])
    visitor.driver.find_elements("css selector", "#examples button")[2].click()
    visitor.wait(
        lambda: (
            visitor.find("#box textarea")
            .get_attribute("value")
            .startswith("What do these two pictures")
        )
    )
    visitor.wait(
        lambda: len(visitor.driver.find_elements("css selector", "#box .thumbnail-item")) == 2
    )
    visitor.find("#box [data-testid=submit-button]").click()
    visitor.wait(lambda: len(visitor.said(1)) == 1 and "…" not in visitor.said(1))


def make_endless(model: Path) -> None:
    """Of all tokens' rows in the head only `a` and `b` keep something, and one is the other's
    opposite: one of the two is always ahead, whatever the model has read. Its layers stand in it
    eight times, so that the answer takes long enough to be stopped."""
    (weights,) = model.glob("*.safetensors")
    tensors = load_file(weights)
    head = tensors["language_model.output.weight"]
    a, b = map(Tokenizer.from_file(str(model / "tokenizer.json")).token_to_id, "ab")
    row = head[a].clone()
    head.zero_()
    head[a], head[b] = row, -row
    config = json.loads((model / "config.json").read_text("utf-8"))
    layers = config["llm_config"]["num_hidden_layers"]
    config["llm_config"]["num_hidden_layers"] = 8 * layers
    (model / "config.json").write_text(json.dumps(config), "utf-8")
    for name, tensor in list(tensors.items()):
        before, mark, after = name.partition(".model.layers.")
        layer, dot, rest = after.partition(".")
        for n in range(1, 8 if mark else 0):
            tensors[before + mark + str(int(layer) + n * layers) + dot + rest] = tensor.clone()
    save_file(tensors, weights, {"format": "pt"})


def test_an_endless_answer_streams_and_is_stopped(
    models: tuple[Path, Path], open_browser: Any, tmp_path: Path
) -> None:
    """Alone on the page, a model has no `Before`."""
    endless = Path(shutil.copytree(models[0], tmp_path / "InternVL2-Endless"))
    make_endless(endless)
    with launch(endless, options={"threads": 1}, language="en") as launched:
        visitor = Visitor(open_browser("zh-CN"), launched.url)
        assert visitor.texts("#talks label") == [] and visitor.texts("#clear") == [
            "New conversation"
        ]
        visitor.find("#box textarea").send_keys("Spell it.")
        visitor.find("#box [data-testid=submit-button]").click()
        lengths = [visitor.wait(lambda: [len(text) for text in visitor.said(0) if text != "…"])[0]]
        while len(lengths) < 3:
            lengths.append(
                visitor.wait(
                    lambda: [n for text in visitor.said(0) if (n := len(text)) > lengths[-1]]
                )[0]
            )
        visitor.find("#box .stop-button").click()
        visitor.wait(
            lambda: visitor.driver.find_elements("css selector", "#box [data-testid=submit-button]")
        )
        (kept,) = visitor.said(0)
        assert len(kept) >= lengths[-1]
        started = time.monotonic()
        visitor.find("#box textarea").send_keys("Spell it.")
        visitor.find("#box [data-testid=submit-button]").click()
        visitor.wait(lambda: len(visitor.said(0)) == 2 and visitor.said(0)[1] not in ("", "…"))
        assert time.monotonic() - started < 20, (
            "the server did not go on with the answer that was stopped"
        )
        visitor.find("#clear").click()
        visitor.wait(lambda: visitor.said(0) == [])
        time.sleep(1)
        assert visitor.said(0) == visitor.asked(0) == [], "what was under way does not come back"


NAMELESS = ("button", "textbox", "slider", "spinbutton", "radio", "checkbox", "combobox", "link")


def nameless(driver: Any) -> list[str]:
    """Controls that a screen reader has no name for, by their element."""
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = [
        node["backendDOMNodeId"]
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value") in NAMELESS
        and not str(node.get("name", {}).get("value", "")).strip()
    ]
    return [
        driver.execute_cdp_cmd("DOM.getOuterHTML", {"backendNodeId": one})["outerHTML"][:300]
        for one in found
    ]


def test_a_phone_shows_one_talk_at_a_time(
    demo: Launched, open_browser: Any, pictures: Path
) -> None:
    driver = open_browser("en-US")
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    visitor = Visitor(driver, demo.url)
    visitor.attach(pictures / "7.png")
    visitor.ask("Which digit is this?", 1)
    shown = [visitor.find(f"#talk-{place}").is_displayed() for place in (0, 1)]
    assert shown == [False, True]
    driver.find_elements("css selector", "#pane label")[0].click()
    visitor.wait(lambda: visitor.find("#talk-0").is_displayed())
    assert not visitor.find("#talk-1").is_displayed()
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    above, below = (
        driver.execute_script(f"return document.querySelector('{one}').getBoundingClientRect()")
        for one in ("#pane", "#talk-0 .user.message")
    )
    assert above["bottom"] <= below["top"]
    assert nameless(driver) == []
