"""Takes the screenshots of the documentation in Chromium, from a release that was made before:

    hubkit quickstart --workdir quickstart
    python docs/make_screenshots.py quickstart/release.yaml

It needs the extra `demo`, selenium, chromium and chromedriver.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

import hubkit
from hubkit.api.rehearse import REHEARSAL_TOKEN
from hubkit.demo_page.texts import TEXTS
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.workspace import Workspace

DOCS = Path(__file__).parent
IMAGES, ZH_IMAGES = DOCS / "images", DOCS / "zh" / "images"
DESKTOP, TALL, PHONE = (1280, 1000), (1280, 1600), (390, 844)
SECONDS = 120.0
DEMOS: tuple[tuple[str, tuple[int, int], Path], ...] = (
    ("en-US", DESKTOP, IMAGES / "demo.png"),
    ("en-US", PHONE, IMAGES / "demo-phone.png"),
    ("zh-CN", DESKTOP, ZH_IMAGES / "demo-zh.png"),
    ("zh-CN", PHONE, ZH_IMAGES / "demo-phone-zh.png"),
)


@contextmanager
def browser(language: str, size: tuple[int, int]) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    for flag in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        shape = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        mobile = {"mobile": size[0] < 720}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**shape, **mobile})
        yield driver
    finally:
        driver.quit()


def until(driver: Any, script: str) -> None:
    end = time.monotonic() + SECONDS
    while not driver.execute_script(f"return {script}"):
        if time.monotonic() > end:
            raise SystemExit(f"after {SECONDS:.0f} s there is still not: {script}")
        time.sleep(0.2)


def ask_an_example(driver: Any, placeholder: str) -> None:
    """Once the page has its language, takes the second example, which the base gets wrong, sends
    it, and waits for both answers."""
    until(driver, f"document.querySelector('#box textarea')?.placeholder === {placeholder!r}")
    examples = "document.querySelectorAll('#examples button.gallery-item, #examples tr.tr-body')"
    until(driver, f"{examples}.length > 1")
    driver.execute_script(f"{examples}[1].click()")
    until(driver, "document.querySelector('#box .thumbnail-item')")
    driver.find_element("css selector", "#box [data-testid=submit-button]").click()
    until(
        driver,
        "[0, 1].every(n => [...document.querySelectorAll(`#talk-${n} .bot.message`)]"
        ".some(one => !['', '…'].includes(one.textContent.trim())))"
        " && document.querySelector('#box [data-testid=submit-button]')",
    )


def demo(spec: Path) -> None:
    with hubkit.demo(spec) as shown:
        for language, size, place in DEMOS:
            with browser(language, size) as driver:
                driver.get(shown.url)
                ask_an_example(driver, TEXTS[language[:2]].ask)
                driver.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
                driver.save_screenshot(str(place))


def report(spec: Path) -> None:
    """The pass over the release's data, with what it held out."""
    release = load(spec)
    data, page = release.data, IMAGES / "report.html"
    settings = hubkit.PrepareSettings(
        format=data.format,
        options=data.options,
        images=data.images,
        holdout=data.holdout,
        base=release.base.path,
    )
    try:
        hubkit.prepare(data.path, None, settings, report=page)
        with browser("en-US", TALL) as driver:
            driver.get(page.resolve().as_uri())
            driver.save_screenshot(str(IMAGES / "report.png"))
    finally:
        page.unlink(missing_ok=True)


def rehearsal_hub(spec: Path) -> None:
    """The release's page there, as whoever has the token sees it."""
    release = load(spec)
    folder = Workspace(spec.resolve().parent, release.name).stage("package") / release.name
    hub = hubkit.rehearse(folder, schemes=["huggingface"])
    with hub as (done,), browser("en-US", DESKTOP) as driver:
        driver.get(urljoin(done.page, "/login"))
        driver.find_element("name", "token").send_keys(os.environ[REHEARSAL_TOKEN], Keys.ENTER)
        until(driver, "document.querySelector('form[action=\"/logout\"]')")
        driver.get(done.page)
        driver.save_screenshot(str(IMAGES / "rehearsal-hub.png"))


def main(spec: Path) -> None:
    demo(spec)
    report(spec)
    rehearsal_hub(spec)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
