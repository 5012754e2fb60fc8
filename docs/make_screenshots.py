"""Takes the screenshots of the documentation in Chromium, from a release that was made before:

    hubkit quickstart --workdir quickstart
    python docs/make_screenshots.py quickstart/release.yaml

It needs the extra `demo`, selenium, chromium and chromedriver.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import hubkit
from hubkit.pipeline.spec.file import load

DOCS = Path(__file__).parent
DESKTOP, PHONE = (1280, 1000), (390, 844)
SECONDS = 120.0
Shot = tuple[str, tuple[int, int], Path]
SHOTS: tuple[Shot, ...] = (
    ("en-US", DESKTOP, DOCS / "images" / "demo.png"),
    ("en-US", PHONE, DOCS / "images" / "demo-phone.png"),
    ("zh-CN", DESKTOP, DOCS / "zh" / "images" / "demo-zh.png"),
    ("zh-CN", PHONE, DOCS / "zh" / "images" / "demo-phone-zh.png"),
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


def ask_an_example(driver: Any) -> None:
    """Takes the first example, sends it, and waits for both answers."""
    until(driver, "document.querySelector('#examples button, #examples tr.tr-body')")
    driver.execute_script(
        "document.querySelector('#examples button.gallery-item, #examples tr.tr-body').click()"
    )
    until(driver, "document.querySelector('#box .thumbnail-item')")
    driver.find_element("css selector", "#box [data-testid=submit-button]").click()
    until(
        driver,
        "[0, 1].every(n => [...document.querySelectorAll(`#talk-${n} .bot.message`)]"
        ".some(one => !['', '…'].includes(one.textContent.trim())))"
        " && document.querySelector('#box [data-testid=submit-button]')",
    )


def main(spec: Path) -> None:
    with hubkit.demo(spec) as shown:
        for language, size, place in SHOTS:
            with browser(language, size) as driver:
                driver.get(shown.url)
                ask_an_example(driver)
                driver.save_screenshot(str(place))
    release = load(spec)
    data, page = release.data, DOCS / "images" / "report.html"
    settings = hubkit.PrepareSettings(
        format=data.format, options=data.options, images=data.images, base=release.base.path
    )
    try:
        hubkit.prepare(data.path, None, settings, report=page)
        with browser("en-US", (1280, 1600)) as driver:
            driver.get(page.resolve().as_uri())
            driver.save_screenshot(str(DOCS / "images" / "report.png"))
    finally:
        page.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
