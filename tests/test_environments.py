"""Real worker processes with plugins that behave in every way they should not."""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from hubkit.environments import CURRENT, Environment, call, health, process, verdict
from hubkit.sdk import (
    CancelledError,
    DataError,
    EnvironmentFailure,
    HubkitError,
    ModuleGroup,
    PluginError,
    SilentRun,
    TrainInput,
    UsageError,
    Vision,
)

MODULE = """
import ctypes, json, os, signal, subprocess, sys, threading, time
from dataclasses import dataclass
from hubkit.sdk import *

@dataclass(frozen=True)
class Options:
    rank: int = 16
    name: str = "plain"

def done(**settings):
    return TrainOutput("adapter", "peft", "metrics.jsonl", 1, 1, 1, settings)

class Plugin:
    kind, name, sdk, Options = "trainer", "odd", "1.0", Options
    requirements = Requirements({modules}, "peft")

    def train(self, job, run):
{body}
"""

Make = Callable[..., Any]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Writes a plugin whose `train` has the given body, and imports it."""
    name = f"odd_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / "plugin"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(body: str, modules: str = "()") -> Any:
        sys.modules.pop(name, None)
        text = MODULE.format(body=textwrap.indent(textwrap.dedent(body), " " * 8), modules=modules)
        (folder / f"{name}.py").write_text(text, "utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name).Plugin()

    yield write
    sys.modules.pop(name, None)


class Watcher(SilentRun):
    def __init__(self) -> None:
        self.reports: list[tuple[float, float, str, dict[str, float]]] = []
        self.notes: list[str] = []

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.reports.append((done, total, unit, numbers))

    def note(self, message: str) -> None:
        self.notes.append(message)


def job(tmp_path: Path, **options: Any) -> TrainInput:
    vision = Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    groups = {"llm": ModuleGroup("model", ("q_proj",))}
    (tmp_path / "out").mkdir(exist_ok=True)
    return TrainInput(
        tmp_path,
        tmp_path,
        groups,
        vision,
        tmp_path / "r.jsonl",
        tmp_path,
        tmp_path / "out",
        tmp_path / "scratch",
        7,
        options,
    )


def train(
    plugin: Any, tmp_path: Path, run: Any = None, environment: Environment = CURRENT, **rest: Any
) -> Any:
    folder = tmp_path / "worker"
    work = rest.pop("job", None) or job(tmp_path)
    return call(
        plugin, "train", work, environment=environment, run=run or Watcher(), folder=folder, **rest
    )


def wait_for(path: Path, seconds: float = 20) -> str:
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(*pids: int, seconds: float = 2) -> bool:
    end = time.monotonic() + seconds
    while not all(gone(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# --- the way through
# --------------------------------------------------------------------------------------------------


def test_a_call_brings_back_result_progress_and_notes(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        run.progress(1, 2, "steps", loss=0.5)
        run.note("书生 ü \\n second line")
        run.progress(2, 2, "steps", loss=0.25)
        return done(options=json.dumps(dict(job.options), sort_keys=True), text="浦语 \\ud83c", seed=job.seed)
    """)  # noqa: E501
    watcher = Watcher()
    output = train(plugin, tmp_path, watcher, job=job(tmp_path, name="x"))
    assert output.settings == {
        "options": '{"name": "x", "rank": 16}',
        "text": "浦语 \ud83c",
        "seed": 7,
    }
    assert watcher.reports == [(1, 2, "steps", {"loss": 0.5}), (2, 2, "steps", {"loss": 0.25})]
    assert watcher.notes == ["书生 ü \n second line"]


def test_relative_paths_are_of_the_host_and_the_worker_has_a_folder_of_its_own(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poison.py").write_text("raise SystemExit")
    plugin = make("""
        import importlib.util
        found = importlib.util.find_spec("poison") is not None
        return done(base=str(job.base), cwd=os.getcwd(), poison=found, stdin=sys.stdin.read())
    """)
    work = job(tmp_path)
    output = train(plugin, tmp_path, job=replace(work, base=Path("some/base")))
    assert output.settings["base"] == str(tmp_path / "some" / "base")
    assert output.settings["cwd"] == str(tmp_path / "worker" / "cwd")
    assert output.settings["poison"] is False
    assert output.settings["stdin"] == ""


def test_no_secret_reaches_the_worker(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        "HF_TOKEN",
        "MODELSCOPE_API_TOKEN",
        "MODELSCOPE_SESSION",
        "OPENAI_API_KEY",
        "NVIDIA_API_KEY",
        "CUDA_SECRET",
    ]
    for name in [*names, "HTTPS_PROXY", "PYTHONSTARTUP", "GIT_ASKPASS", "WHATEVER"]:
        monkeypatch.setenv(name, "canary-7f3a")
    monkeypatch.setenv("PYTHONPATH", "/canary-7f3a")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LC_TIME", "C")
    plugin = make("return done(**os.environ)")
    got = train(plugin, tmp_path).settings
    assert "canary-7f3a" not in json.dumps(dict(got))
    assert (
        got["HF_HUB_OFFLINE"],
        got["HF_HUB_DISABLE_IMPLICIT_TOKEN"],
        got["TOKENIZERS_PARALLELISM"],
    ) == ("1", "1", "false")
    assert (got["PYTHONDONTWRITEBYTECODE"], got["PYTHONHASHSEED"], got["PYTHONSAFEPATH"]) == (
        "1",
        "0",
        "1",
    )
    assert (got["CUDA_VISIBLE_DEVICES"], got["LC_TIME"], got["HOME"]) == (
        "1",
        "C",
        os.environ["HOME"],
    )
    assert got["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert "HUBKIT_PROGRESS_FD" not in got
    for written in (tmp_path / "worker").rglob("*"):
        if written.is_file() and written.name != "output.json":
            assert b"canary-7f3a" not in written.read_bytes(), written


def test_the_worker_has_the_sdk_and_nothing_else_of_hubkit(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        found = {}
        for name in ("hubkit.sdk", "hubkit.registry", "hubkit.environments", "hubkit.weights"):
            try:
                found[name.replace(".", "_")] = __import__(name, fromlist=["x"]).__file__
            except ModuleNotFoundError:
                found[name.replace(".", "_")] = ""
        return done(**found)
    """)
    got = dict(train(plugin, tmp_path).settings)
    assert got.pop("hubkit_sdk") == str(
        tmp_path / "worker" / "path" / "hubkit" / "sdk" / "__init__.py"
    )
    assert got == {"hubkit_registry": "", "hubkit_environments": "", "hubkit_weights": ""}


def test_progress_is_throttled_but_the_last_report_arrives(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        for step in range(1, 200_001):
            run.progress(step, 200_000, "steps")
        return done()
    """)
    watcher = Watcher()
    train(plugin, tmp_path, watcher)
    assert watcher.reports[0][0] == 1
    assert watcher.reports[-1][0] == 200_000
    assert len(watcher.reports) < 100


def test_no_descriptor_is_left_open(make: Make, tmp_path: Path) -> None:
    plugin = make("return done()")
    train(plugin, tmp_path)
    before = sorted(Path("/proc/self/fd").iterdir())
    train(plugin, tmp_path)
    with pytest.raises(PluginError):
        train(make("os._exit(1)"), tmp_path)
    with pytest.raises(EnvironmentFailure):
        train(plugin, tmp_path, environment=Environment(tmp_path / "nothing"))
    assert sorted(Path("/proc/self/fd").iterdir()) == before


# --- a plugin that fails
# ----------------------------------------------------------------------------------------------


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
        ("return done(nested=[1])", PluginError, "settings.nested must be str, not [1]"),
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
        match=r"options of trainer odd: unknown key 'rnak' .*; rank must be int, not 'x'",
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


# --- a plugin that crashes, hangs or floods
# ---------------------------------------------------------------------------


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


# --- interruptions
# --------------------------------------------------------------------------------------------------

PATIENT = """
    (job.output / "pid").write_text(str(os.getpid()))
    try:
        while True:
            run.progress(0, 1, "steps")
            run.check_cancelled()
            time.sleep(0.01)
    finally:
        (job.output / "saved").touch()
"""


class CancelledAtOnce(Watcher):
    def check_cancelled(self) -> None:
        if self.reports:
            raise CancelledError("interrupted", "again")


class CtrlC(Watcher):
    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("run", [CancelledAtOnce(), CtrlC()], ids=["cancelled", "ctrl-c"])
def test_cancelling_lets_the_plugin_save_its_work(make: Make, tmp_path: Path, run: Watcher) -> None:
    started = time.monotonic()
    with pytest.raises(CancelledError):
        train(make(PATIENT), tmp_path, run)
    assert time.monotonic() - started < 8
    assert (tmp_path / "out" / "saved").exists()
    assert gone(int((tmp_path / "out" / "pid").read_text()))


def test_who_does_not_listen_is_killed_with_all_children(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS_TO_STOP", 0.5)
    plugin = make("""
        deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, start_new_session=True)
        child.stdout.readline()
        (job.output / "pids").write_text(f"{os.getpid()} {child.pid}")
        run.progress(1, 2, "steps")
        time.sleep(600)
    """)  # noqa: E501
    with pytest.raises(CancelledError):
        train(plugin, tmp_path, CancelledAtOnce())
    assert until_gone(*map(int, (tmp_path / "out" / "pids").read_text().split()))


HOLDS_THE_INTERPRETER = """
        (job.output / "pids").write_text(str(os.getpid()))
        run.progress(1, 2, "steps")
        ctypes.PyDLL(None).sleep(60)
"""
"""As the import of a large native library does."""


def test_a_worker_that_holds_the_interpreter_is_killed(make: Make, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CancelledError):
        train(make(HOLDS_THE_INTERPRETER), tmp_path, CancelledAtOnce())
    assert gone(int((tmp_path / "out" / "pids").read_text()))
    assert time.monotonic() - began < 10


HOST = """
import sys
sys.path[:0] = {path!r}
import {module} as module
from pathlib import Path
from hubkit.environments import CURRENT, call
from hubkit.sdk import SilentRun, TrainInput, Vision
here = Path({here!r})
vision = Vision(56, 16, 1, 1, True, (0.0,) * 3, (1.0,) * 3)
job = TrainInput(here, here, {{}}, vision, here, here, here / "out", here, 7, {{}})
call(module.Plugin(), "train", job, environment=CURRENT, run=SilentRun(), folder=here / "worker")
"""


@pytest.mark.parametrize("deaf", ["while True: pass", "ctypes.PyDLL(None).sleep(60)"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_takes_its_worker_along(
    make: Make, tmp_path: Path, number: int, deaf: str
) -> None:
    plugin = make(f"""
        child = subprocess.Popen(["sleep", "600"])
        (job.output / "pids").write_text(f"{{os.getpid()}} {{child.pid}} ")
        {deaf}
    """)
    (tmp_path / "out").mkdir()
    text = HOST.format(
        path=[str(tmp_path / "plugin")], module=type(plugin).__module__, here=str(tmp_path)
    )
    host = subprocess.Popen([sys.executable, "-c", text])
    try:
        pids = [int(pid) for pid in wait_for(tmp_path / "out" / "pids").split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
    finally:
        host.send_signal(number)
        host.wait()
    assert until_gone(*pids, seconds=2)


# --- environments
# --------------------------------------------------------------------------------------------------


def test_health_of_this_interpreter(make: Make, tmp_path: Path) -> None:
    found = health(
        make("pass", modules='(("numpy", "1.0"), ("json", ""))'), CURRENT, tmp_path / "health"
    )
    assert found.missing == ()
    assert found.versions["numpy"] == importlib.import_module("numpy").__version__
    assert found.python == ".".join(map(str, sys.version_info[:3]))


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    make: Make, tmp_path: Path
) -> None:
    plugin = make("return done()", modules='(("numpy", "999"), ("no_such_module", "1.2"))')
    for ask in (
        lambda: health(plugin, CURRENT, tmp_path / "health"),
        lambda: train(plugin, tmp_path),
    ):
        with pytest.raises(EnvironmentFailure) as caught:
            ask()
        assert type(caught.value) is EnvironmentFailure
        assert re.search(r"numpy [\d.]+ is older than 999", caught.value.message)
        assert "no_such_module: ModuleNotFoundError" in caught.value.message
        assert caught.value.remedy == "pip install 'hubkit[peft]'"
    other = Environment(Path(sys.executable))
    with pytest.raises(EnvironmentFailure) as caught:
        health(plugin, other, tmp_path / "health")
    assert caught.value.remedy.startswith(f"{sys.executable} -m pip install ")
    assert re.search(r"'peft>=[\d.]+'", caught.value.remedy)
    assert re.search(r"'torch>=[\d.]+'", caught.value.remedy)


def test_an_interpreter_that_is_none(make: Make, tmp_path: Path) -> None:
    plugin = make("return done()")
    with pytest.raises(EnvironmentFailure, match=f"there is no interpreter {tmp_path / 'nothing'}"):
        train(plugin, tmp_path, environment=Environment(tmp_path / "nothing"))
    with pytest.raises(EnvironmentFailure, match="is a folder") as caught:
        train(plugin, tmp_path, environment=Environment(tmp_path))
    assert str(tmp_path / "bin" / "python") in caught.value.remedy
    broken = tmp_path / "python"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentFailure, match=r"cannot be started"):
        train(plugin, tmp_path, environment=Environment(broken))


def test_environments_as_release_yaml_writes_them() -> None:
    assert Environment.parse("current") == CURRENT
    assert Environment.parse({"python": "~/env/bin/python"}) == Environment(
        Path("~/env/bin/python")
    )
    assert Environment.parse("locked") == Environment(locked="")
    assert Environment.parse({"locked": "cu12"}) == Environment(locked="cu12")
    for wrong in ("conda", {}, {"python": ""}, {"locked": ""}, {"python": "x", "more": 1}):
        with pytest.raises(UsageError, match="not an environment"):
            Environment.parse(wrong)


def interpreters() -> list[Path]:
    found = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    return [path for path in found if re.search(r"/3\.(9|1[0-9])\.", str(path))]


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.parts[-3])
def test_a_worker_in_another_interpreter(make: Make, tmp_path: Path, python: Path) -> None:
    plugin = make(
        "run.progress(1, 1, 'steps')\nreturn done(python=sys.executable, rank=job.options['rank'])"
    )
    if "/3.9." in str(python):
        with pytest.raises(
            PluginError,
            match=r"Python 3\.9 is too old for a worker: "
            r"name an interpreter of Python 3\.10 or newer",
        ):
            train(plugin, tmp_path, environment=Environment(python))
        return
    watcher = Watcher()
    output = train(plugin, tmp_path, watcher, environment=Environment(python))
    assert output.settings == {"python": str(python), "rank": 16}
    assert watcher.reports == [(1, 1, "steps", {})]
