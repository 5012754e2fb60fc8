"""Two model folders, their demo, and a browser to use it with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testing.projects import BASE


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.png ... 9.png: printed digits."""
    import random

    from hubkit.quickstart.glyphs import draw

    folder, dice = tmp_path_factory.mktemp("pictures"), random.Random(5)
    for digit in range(10):
        draw(digit, 56, 56, dice, 0.2).save(folder / f"{digit}.png")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The base and the model that is compared with it."""
    folder = tmp_path_factory.mktemp("models")
    ignore = shutil.ignore_patterns("__pycache__")
    return tuple(
        Path(shutil.copytree(BASE, folder / name, ignore=ignore))
        for name in ("InternVL2-Base", "InternVL2-Tuned")
    )  # type: ignore[return-value]


@pytest.fixture
def open_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Starts a Chromium of a language; all are closed at the end."""
    programs = (
        shutil.which("chromium") or shutil.which("chromium-browser"),
        shutil.which("chromedriver"),
    )
    if None in programs:
        pytest.skip("there is no chromium with its chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service").Service
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    drivers: list[Any] = []

    def start(language: str) -> Any:
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
            *(
                "disable-component-update",
                "disable-sync",
                f"user-data-dir={tmp_path / f'chromium-{len(drivers)}'}",
            ),
        ):
            options.add_argument(f"--{flag}")
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        drivers.append(webdriver.Chrome(options=options, service=service(programs[1])))
        drivers[-1].set_window_size(1280, 1000)
        drivers[-1].implicitly_wait(20)
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.quit()
