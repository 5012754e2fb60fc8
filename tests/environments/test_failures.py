"""Plugins that raise, crash, hang or flood, in real worker processes."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testing.odd_plugin import Watcher, gone, job, train, until_gone

from hubkit.environments import process, verdict
from hubkit.sdk import (
    CancelledError,
    DataError,
    EnvironmentFailure,
    HubkitError,
    PluginError,
    UsageError,
)

Make = Callable[..., Any]


def test_an_exception_names_the_place_and_the_log(make: Make, tmp_path: Path) -> None:
    plugin = make('run.note("x")\nraise ValueError("kaputt – ü")')
    with pytest.raises(PluginError) as caught:
        train(plugin, tmp_path)
    assert "trainer odd: ValueError: kaputt – ü" in caught.value.message
    assert re.search(r"odd_\w+\.py\", line \d+, in train", caught.value.message)
    assert str(tmp_path / "worker" / "stderr.log") in caught.value.remedy
    assert "ValueError: kaputt – ü" in (tmp_path / "worker" / "stderr.log").read_text("utf-8")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            'raise DataError("r.jsonl, record 3: no image", "add it")',
            DataError,
            "r.jsonl, record 3: no image",
        ),
        ('class Mine(DataError): pass\nraise Mine("mine", "add it")', DataError, "mine"),
        ('raise EnvironmentFailure("no GPU", "get one")', EnvironmentFailure, "no GPU"),
        ("raise MemoryError", EnvironmentFailure, "trainer odd: out of memory"),
        ("sys.exit(3)", PluginError, "called sys.exit(3)"),
        ("raise KeyboardInterrupt", PluginError, "KeyboardInterrupt"),
        (
            "return {'adapter': 'a'}",
            PluginError,
            "`train` returned dict, its contract says TrainOutput",
        ),
        ("return None", PluginError, "`train` returned NoneType"),
        (
            "return done(tensor=object())",
            PluginError,
            "object cannot travel between hubkit and a worker",
        ),
        ("return done(nested=[1])", PluginError, "settings.nested must be a text, not [1]"),
        ("import no_such_module_at_all", PluginError, "No module named 'no_such_module_at_all'"),
    ],
)
def test_each_way_to_fail_is_a_hubkit_error(
    make: Make, tmp_path: Path, body: str, kind: type[HubkitError], message: str
) -> None:
    with pytest.raises(HubkitError) as caught:
        train(make(body), tmp_path)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert caught.value.remedy


def test_options_that_do_not_fit_are_named_before_anything_is_done(
    make: Make, tmp_path: Path
) -> None:
    plugin = make(
        '(job.output / "ran").touch()\nreturn done()', modules='(("no_such_module", ""),)'
    )
    with pytest.raises(
        UsageError,
        match=r"trainer odd: unknown key 'rnak' .*; rank must be a whole number, not 'x'",
    ):
        train(plugin, tmp_path, job=job(tmp_path, rnak=1, rank="x"))
    with pytest.raises(UsageError, match="object cannot travel"):
        train(plugin, tmp_path, job=job(tmp_path, rank=object()))
    assert not (tmp_path / "out" / "ran").exists()


def test_a_plugin_that_cannot_be_imported_elsewhere_is_refused(tmp_path: Path) -> None:
    class Local:
        kind, name = "trainer", "local"

    with pytest.raises(PluginError, match="a worker cannot import"):
        train(Local(), tmp_path)


def test_a_segmentation_fault_is_named_with_the_line_that_caused_it(
    make: Make, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        train(make("ctypes.string_at(0)"), tmp_path)
    assert (
        "trainer odd died of SIGSEGV in `train`: a segmentation fault in native code"
        in caught.value.message
    )
    assert re.search(r"odd_\w+\.py\", line \d+ in train", caught.value.message)
    assert str(tmp_path / "worker" / "stderr.log") in caught.value.remedy


def test_a_kill_is_taken_for_want_of_memory(make: Make, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"died of SIGKILL .*memory ran out") as caught:
        train(make('print("half way", flush=True)\nos.kill(os.getpid(), signal.SIGKILL)'), tmp_path)
    assert "    half way" in caught.value.message
    assert "lower the batch size" in caught.value.remedy


def test_an_exit_without_a_result_is_told_with_its_code(make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        PluginError,
        match=r"ended with exit code 7 in `train` and left no result \(its logs are empty\)",
    ):
        train(make("os._exit(7)"), tmp_path)
    with pytest.raises(PluginError, match="ended with exit code 0 in `train` and left no result"):
        train(make("os._exit(0)"), tmp_path)


def test_a_hang_is_ended_at_the_deadline_and_shows_where(make: Make, tmp_path: Path) -> None:
    plugin = make('(job.output / "pid").write_text(str(os.getpid()))\ntime.sleep(600)')
    started = time.monotonic()
    with pytest.raises(
        PluginError, match=r"did not finish `train` within 3 s and was ended"
    ) as caught:
        train(plugin, tmp_path, deadline=3.0)
    assert time.monotonic() - started < 20
    assert re.search(r"odd_\w+\.py\", line \d+ in train", caught.value.message)
    assert gone(int((tmp_path / "out" / "pid").read_text()))


def test_garbage_on_stdout_is_only_a_log(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        print('{"done": 1, "total": 2, "unit": "lies", "numbers": {}}')
        sys.stdout.buffer.write(bytes(range(256)))
        os.write(1, b'\\n{"ok": false}\\n')
        return done(fine=True)
    """)
    watcher = Watcher()
    assert train(plugin, tmp_path, watcher).settings == {"fine": True}
    assert watcher.reports == []
    assert bytes(range(256)) in (tmp_path / "worker" / "stdout.log").read_bytes()


def test_a_hundred_megabytes_of_log_do_not_fill_the_host(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        for _ in range(100):
            os.write(2, b"x" * 999_999 + b"\\n")
        os.write(2, b"\\x1b[31mthe reason\\x1b[0m\\n\\n\\r10%\\r20%\\n")
        os._exit(1)
    """)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PluginError) as caught:
        train(plugin, tmp_path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (tmp_path / "worker" / "stderr.log").stat().st_size > 100_000_000
    assert grown < 20_000  # KiB
    lines = caught.value.message.splitlines()
    assert lines[-2:] == ["    the reason", "    20%"]
    assert max(len(line) for line in lines) < 400


def test_a_flood_of_notes_can_be_cancelled(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        while True:
            run.note("y" * 1000)
            run.check_cancelled()
    """)

    class Impatient(Watcher):
        def check_cancelled(self) -> None:
            if len(self.notes) > 1000:
                raise CancelledError("stop", "")

    with pytest.raises(CancelledError):
        train(plugin, tmp_path, Impatient())


def test_a_result_counts_although_the_worker_crashes_at_exit(make: Make, tmp_path: Path) -> None:
    plugin = make(
        "import atexit\natexit.register(os.kill, os.getpid(), signal.SIGSEGV)\nreturn "
        "done(fine=True)"
    )
    watcher = Watcher()
    assert train(plugin, tmp_path, watcher).settings == {"fine": True}
    assert watcher.notes == [
        "trainer odd: the worker ended with code -11 after it had finished its work"
    ]


def test_a_worker_that_does_not_exit_is_ended_and_its_result_counts(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS_TO_EXIT", 0.5)
    plugin = make(
        "threading.Thread(target=time.sleep, args=(600,)).start()\nreturn done(fine=True)"
    )
    assert train(plugin, tmp_path).settings == {"fine": True}


def test_nothing_is_left_of_the_process_group(make: Make, tmp_path: Path) -> None:
    plugin = make('child = subprocess.Popen(["sleep", "600"])\nreturn done(child=child.pid)')
    assert until_gone(int(train(plugin, tmp_path).settings["child"]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"ok": true}',
        '{"ok": false}',
        '{"ok": false, "error": 1}',
        '{"ok": 1, "health": []}',
        "[" * 10000,
    ],
)
def test_an_answer_that_is_none(tmp_path: Path, text: str) -> None:
    output = tmp_path / "output.json"
    output.write_text(text)
    with pytest.raises(PluginError, match="is not a worker's answer") as caught:
        verdict.read_answer("trainer odd", output, tmp_path)
    assert str(output) in caught.value.message


def test_a_malformed_and_an_oversized_answer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = make("""
        path = job.output.parent / "worker" / "output.json"
        path.write_bytes(b'{"ok": true, "result": \\xff}')
        os._exit(0)
    """)
    with pytest.raises(PluginError, match="is not a worker's answer"):
        train(plugin, tmp_path)
    monkeypatch.setattr(verdict, "LARGEST_ANSWER", 1 << 20)
    with pytest.raises(
        PluginError, match=r"its result has [\d,]+ bytes, more than the 1,048,576 allowed"
    ):
        train(make('return done(much="x" * (1 << 21))'), tmp_path)
