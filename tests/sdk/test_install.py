"""Which command a remedy names, and that hubkit runs beside no other project of its name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk.install import DISTRIBUTION, install, packages

ROOT = Path(__file__).parents[2]
METADATA = """Metadata-Version: 2.4
Name: hubkit-vlm
Version: 0.1.0
Provides-Extra: weights
Provides-Extra: all
Requires-Dist: click>=8.1
Requires-Dist: torch>=2.4; extra == 'weights'
Requires-Dist: torch>=2.4; extra == 'all'
Requires-Dist: gradio<7,>=6.31; extra == 'all'
"""


def installed(folder: Path, name: str, metadata: str, origin: Any = None) -> None:
    place = folder / f"{name}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(metadata)
    if origin is not None:
        (place / "direct_url.json").write_text(json.dumps(origin))


def test_a_checkout_is_installed_again_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    origin = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    installed(tmp_path / "site", "hubkit_vlm-0.1.0", METADATA, origin)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert install("demo") == f"pip install -e '{checkout}[demo]'"


def test_a_wheel_that_is_there_and_one_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "hubkit_vlm-0.1.0-py3-none-any.whl"
    wheel.touch()
    origin = {"url": wheel.as_uri(), "archive_info": {}}
    installed(tmp_path / "site", "hubkit_vlm-0.1.0", METADATA, origin)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert install("weights") == f"pip install '{wheel}[weights]'"
    wheel.unlink()
    assert install("weights") == "pip install 'torch>=2.4'"
    assert install("all") == "pip install 'torch>=2.4' 'gradio<7,>=6.31'"


def test_from_an_index_the_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "site", "hubkit_vlm-0.1.0", METADATA)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert install("all") == "pip install 'torch>=2.4' 'gradio<7,>=6.31'"
    assert install("unknown") == "pip install 'hubkit-vlm[unknown]'"


def test_the_extras_of_this_checkout_are_read() -> None:
    assert {one.partition(">")[0] for one in packages("qlora")} == {
        "torch",
        "transformers",
        "peft",
        "bitsandbytes",
    }


def test_beside_the_other_hubkit_nothing_runs(tmp_path: Path) -> None:
    installed(tmp_path, "hubkit-1.0.0", "Metadata-Version: 2.1\nName: hubkit\nVersion: 1.0.0\n")
    for arguments in (
        ["-m", "hubkit", "check", "."],
        ["-c", "import hubkit; hubkit.login_status()"],
    ):
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )
        assert "the distribution `hubkit` is installed here; this is hubkit-vlm" in done.stderr
        assert "remedy: pip uninstall hubkit, then pip install --force-reinstall" in done.stderr
        assert done.returncode == (4 if arguments[0] == "-m" else 1)


def test_one_name_everywhere() -> None:
    """In pyproject.toml, the plugins and the documents; and never the name of the other project."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    texts = {
        name: (ROOT / name).read_text("utf-8")
        for name in files
        if name.endswith((".md", ".toml", ".py", ".j2", ".yaml")) and (ROOT / name).is_file()
    }
    assert f'\nname = "{DISTRIBUTION}"\n' in texts["pyproject.toml"]
    wrong = re.compile(r"hubkit\[[a-z]|pip install '?hubkit['\[ ]|[\"']hubkit *[>=<~]=")
    mine = Path(__file__).relative_to(ROOT).as_posix()
    assert [name for name, text in texts.items() if name != mine and wrong.search(text)] == []
