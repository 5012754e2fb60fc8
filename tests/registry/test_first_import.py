"""A plugin's first import, in a process of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from testing.small_plugins import Install, dataset

from hubkit.registry import first_import
from hubkit.registry.entries import GROUP
from hubkit.registry.entry_points import EntryPoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import ctypes; ctypes.string_at(0)", "dies of a segmentation fault while it is imported"),
        ("import os; os._exit(7)", "ends the process while it is imported (exit code 7)"),
        ("import os; os.abort()", "aborts in native code"),
        ("import time; time.sleep(60)", "hangs: it was not imported within 1 s"),
        ("while True: print('x' * 10_000)", "floods its output: more than 1,048,576 bytes"),
        ("import os\nwhile True: os.write(2, b'x' * 10_000)", "floods its output"),
    ],
)
def test_an_import_that_kills_or_hangs_hinders_nobody(
    install: Install, text: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    assert install(good=dataset()).broken == ()
    monkeypatch.setattr(first_import, "SECONDS", 1.0 if "sleep" in text else 30.0)
    found = install(bad=(text, "Data"))
    assert found.get("dataset", "data").name == "data"
    (broken,) = found.broken
    assert broken.distribution == "bad-dist" and reason in broken.state


def test_a_trial_is_made_once_until_the_files_change(
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    tried = []
    once = first_import._try
    monkeypatch.setattr(first_import, "_try", lambda module: tried.append(module) or once(module))
    (row,) = install(
        good=("print('said while it was imported')" + textwrap.dedent(dataset()[0]), "Data")
    ).rows()
    assert row.state == "ok" and capsys.readouterr().out == ""
    (module,) = tried
    entry = EntryPoint("good", f"{module}:Data", GROUP)
    assert first_import.problem(entry) == "" and tried == [module]
    (tmp_path / f"{module}.py").write_text("import os; os._exit(3)")
    assert "exit code 3" in first_import.problem(entry) and tried == [module, module]
