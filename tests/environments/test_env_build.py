"""Environments built by real pip from wheels of our own: once, as locked, used by workers, and
nothing left of a failure."""

from __future__ import annotations

import functools
import http.server
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from testing.locked_plugin import lock, sha256, step, wheel

from hubkit.environments import Environment, call, choice, locked_name, machine, manage
from hubkit.environments.build import Built, Sources, build
from hubkit.environments.store import state_of
from hubkit.sdk import CancelledError, EnvironmentFailure, SilentRun, TrainInput, Vision

ONE_STEP = lock(step("tinyone==1.0", "tinytwo==2.0"))


class Watcher(SilentRun):
    def __init__(self) -> None:
        self.reports: list[tuple[float, float, str, dict[str, float]]] = []
        self.notes: list[str] = []

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.reports.append((done, total, unit, numbers))

    def note(self, message: str) -> None:
        self.notes.append(message)


def make(plugin: Any, *wheels: Path | str, run: Any = None) -> Built:
    return build(
        plugin,
        choice.choose(plugin),
        run or Watcher(),
        Sources(tuple(map(str, wheels)), no_index=True),
    )


def left(store: Path) -> list[str]:
    """What is in the store, its lock files aside."""
    return sorted(path.name for path in store.glob("*") if path.name != ".locks")


def train_input(tmp_path: Path) -> TrainInput:
    (tmp_path / "out").mkdir()
    vision = Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return TrainInput(
        tmp_path,
        tmp_path,
        {},
        vision,
        tmp_path,
        tmp_path,
        tmp_path / "out",
        tmp_path / "scratch",
        7,
        {},
    )


def test_it_is_built_as_locked_without_a_network_and_once(
    install: Any, store: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "HTTPS_PROXY")
    for name in secrets:
        monkeypatch.setenv(name, "http://canary-51c2:9")
    plugin, watcher = install(lock()), Watcher()
    built = make(plugin, wheels, run=watcher)
    assert built.folder == store / locked_name(plugin, "") == store / built.name
    assert built.health is not None and built.health.versions == {
        "tinyone": "1.0",
        "tinytwo": "2.0",
    }
    assert (built.state.packages, built.state.variant) == (2, "cpu")
    assert built.state.size > 1000
    assert left(store) == [built.name]
    assert sorted(path.name for path in built.folder.iterdir()) == [
        "bin",
        "hubkit.json",
        "include",
        "lib",
        "lib64",
        "pyvenv.cfg",
    ]
    assert watcher.reports[-1][:3] == (2, 2, "packages")
    assert [done for done, *_ in watcher.reports] == sorted(done for done, *_ in watcher.reports)
    assert watcher.notes[1:] == [
        "installing tinyone",
        "installing tinytwo",
        "checking that the environment works",
    ]
    assert [
        path
        for path in built.folder.rglob("*")
        if path.is_file() and b"canary-51c2" in path.read_bytes()
    ] == []

    again, begun = Watcher(), time.monotonic()
    assert make(plugin, run=again) == Built(built.name, built.folder, built.state)
    assert time.monotonic() - begun < 0.3
    assert again.notes == again.reports == []

    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "tinyone.py").write_text("def answer():\n    return -1\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "poison"))
    work = train_input(tmp_path)
    output = call(
        plugin,
        "train",
        work,
        environment=Environment(locked=""),
        run=again,
        folder=tmp_path / "worker",
    )
    assert output.settings["python"] == str(built.folder / "bin" / "python")
    assert output.settings["answer"] == 40
    assert not set(secrets) & set(str(output.settings["variables"]).split())


def test_another_lock_is_another_environment(install: Any, store: Path, wheels: Path) -> None:
    before = locked_name(install(ONE_STEP), "")
    plugin = install(lock(step("tinyone==1.1", "tinytwo==2.0")))
    assert locked_name(plugin, "") != before


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A page of wheels: tinyone with 3 MB of ballast, and tinytwo."""
    folder = tmp_path / "index"
    wheel(folder, "tinyone", "1.0", "def answer():\n    return 40\n", size=3_000_000)
    wheel(folder, "tinytwo", "2.0", "def answer():\n    return 2\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_download_is_shown_with_its_name_and_megabytes(
    install: Any, store: Path, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    watcher = Watcher()
    built = make(install(ONE_STEP), index, run=watcher)
    assert built.state.versions == {"tinyone": "1.0", "tinytwo": "2.0"}
    assert any(
        note.startswith("downloading") and "tinyone-1.0-py3-none-any.whl (3.0 MB)" in note
        for note in watcher.notes
    )
    assert watcher.reports[-1] == (2, 2, "packages", {"MB": 3.0})
    megabytes = [numbers.get("MB", 0.0) for *_, numbers in watcher.reports]
    assert megabytes == sorted(megabytes)


# --- failures
# --------------------------------------------------------------------------------------------------


def backend(folder: Path, name: str, raises: str) -> Path:
    """A source distribution whose build fails in the way given."""
    folder.mkdir(exist_ok=True)
    place = folder / f"{name}-1.0"
    place.mkdir()
    (place / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    metadata = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
    (place / "PKG-INFO").write_text(metadata.replace("\\n", "\n"))
    (place / "backend.py").write_text(f"def build_wheel(*_, **__):\n    {raises}\n")
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        archive.add(place, arcname=place.name)
    return folder


def test_a_failed_build_is_explained_and_leaves_only_its_log(
    install: Any, store: Path, wheels: Path
) -> None:
    plugin = install(lock(step("tinyone==1.0"), step("tinytwo==9.9")))
    with pytest.raises(EnvironmentFailure) as caught:
        make(plugin, wheels)
    name = locked_name(plugin, "")
    assert "step 2 of 2 of cpu-py" in caught.value.message
    assert "there is no such version for this Python and platform" in caught.value.message
    assert "    ERROR: No matching distribution found for tinytwo==9.9" in caught.value.message
    assert caught.value.remedy.endswith(f"({store / name}.log)")
    assert left(store) == [f"{name}.log"]


def test_a_file_that_is_not_the_locked_one_is_refused(
    install: Any, store: Path, wheels: Path
) -> None:
    good = {
        name: [sha256(wheels / f"{name}-{version}-py3-none-any.whl")]
        for name, version in (("tinyone", "1.0"), ("tinytwo", "2.0"))
    }
    packages = ("tinyone==1.0", "tinytwo==2.0")
    assert make(install(lock(step(*packages, hashes=good))), wheels).health is not None
    with pytest.raises(EnvironmentFailure, match="a package is not the file that was locked"):
        make(
            install(lock(step(*packages, hashes={**good, "tinytwo": ["sha256:" + "0" * 64]}))),
            wheels,
        )
    assert len([name for name in left(store) if not name.endswith(".log")]) == 1


@pytest.mark.integration
def test_an_environment_that_does_not_work_is_not_kept(
    install: Any, store: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    wheel(bad, "tinyone", "1.0", "def answer():\n    return 41\n")
    wheel(bad, "tinytwo", "2.0", "def answer():\n    return 2\n")
    with pytest.raises(EnvironmentFailure, match="RuntimeError: the sum is wrong") as caught:
        make(install(ONE_STEP), bad)
    assert "does not work on this machine" in caught.value.remedy
    assert left(store) == []


@pytest.mark.parametrize(
    ("raises", "cause"),
    [
        ("raise OSError(28, 'No space left on device')", "the disk is full"),
        (
            "__import__('subprocess').check_call(['gcc'], env={'PATH': '/nowhere'})",
            "there is no compiler that builds it",
        ),
        ("raise SystemExit('something else')", "a package does not build here"),
    ],
)
@pytest.mark.integration
def test_a_package_that_does_not_build(
    install: Any, store: Path, tmp_path: Path, raises: str, cause: str
) -> None:
    with pytest.raises(EnvironmentFailure, match=cause):
        make(
            install(lock(step("tinysource==1.0"))),
            backend(tmp_path / "sources", "tinysource", raises),
        )
    assert [name for name in left(store) if not name.endswith(".log")] == []


@pytest.mark.integration
def test_no_network_and_a_wrong_python(
    install: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = install(lock(step("tinyone==1.0")))
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(EnvironmentFailure, match="the package index cannot be reached") as caught:
        build(plugin, choice.choose(plugin), Watcher())
    assert "--find-links" in caught.value.remedy
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="tinyone-1.0-py3-none-any.whl" '
        'data-requires-python="&gt;=3.99">tinyone-1.0-py3-none-any.whl</a>'
    )
    with pytest.raises(EnvironmentFailure, match="a package is not for this Python version"):
        make(plugin, page.as_uri())


def test_cancelling_leaves_nothing(install: Any, store: Path, wheels: Path) -> None:
    class Impatient(Watcher):
        def check_cancelled(self) -> None:
            if any(note.startswith("installing") for note in self.notes):
                raise CancelledError("stop", "")

    with pytest.raises(CancelledError):
        make(install(ONE_STEP), wheels, run=Impatient())
    assert left(store) == []


# --- kills
# --------------------------------------------------------------------------------------------------


def started(tmp_path: Path, wheels: Path) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "hubkit",
        "env",
        "build",
        "tinylock",
        "--find-links",
        str(wheels),
        "--no-index",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "plugin")}
    silence = subprocess.DEVNULL
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=silence, stderr=silence
    )


def at_work_in(store: Path) -> list[int]:
    """Processes that name the store in their command."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if str(store).encode() in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def wait_for_silence(store: Path) -> None:
    end = time.monotonic() + 5
    while at_work_in(store):
        assert time.monotonic() < end, at_work_in(store)
        time.sleep(0.02)


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def kill_at(seconds: float, tmp_path: Path, store: Path, wheels: Path) -> bool:
    """Kills a build after so many seconds with its whole process group; True when it left something
    half done."""
    process = started(tmp_path, wheels)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_silence(store)
    return any(state_of(store / name) is None for name in left(store))


def test_a_killed_build_leaves_nothing_after_the_next_command(
    install: Any, store: Path, wheels: Path, tmp_path: Path
) -> None:
    plugin = install(ONE_STEP)
    process = started(tmp_path, wheels)
    folder = store / locked_name(plugin, "")
    wait_for(folder / ".build" / "requirements.txt")
    while not at_work_in(store):
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for_silence(store)
    assert folder.exists()
    assert {row.state for row in manage.rows() if row.plugin == "tinylock"} == {"absent"}
    assert left(store) == []


@pytest.mark.integration
def test_builds_killed_at_any_moment_leave_nothing_or_all(
    install: Any, store: Path, wheels: Path, tmp_path: Path
) -> None:
    plugin = install(ONE_STEP)
    begun = time.monotonic()
    assert started(tmp_path, wheels).wait() == 0
    whole = time.monotonic() - begun
    chance, half = random.Random(4), 0
    for number in range(15):
        if number % 2:
            manage.remove(everything=True)
        else:
            (store / locked_name(plugin, "") / "hubkit.json").unlink(missing_ok=True)
        half += kill_at(chance.uniform(0.2, 1.0) * whole, tmp_path, store, wheels)
        manage.rows()
        for name in left(store):
            assert state_of(store / name), name
            assert manage.check("tinylock", Environment(locked="")).health.missing == ()
    assert half >= 3
    assert started(tmp_path, wheels).wait() == 0
    assert left(store) == [locked_name(plugin, "")]
    assert not list(store.glob("*/.build"))


def test_one_for_gpus_is_built_where_there_is_none(
    install: Any, store: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its check fails here, as a GPU's would: with a GPU, that is the lock's fault."""
    plugin, watcher = install(lock(step("tinyone==1.0"), variant="cu12")), Watcher()
    chosen, sources = choice.choose(plugin, "cu12"), Sources((str(wheels),), no_index=True)
    monkeypatch.setattr(machine, "cuda", lambda: 12)
    with pytest.raises(EnvironmentFailure, match="tinytwo: ModuleNotFoundError"):
        build(plugin, chosen, watcher, sources)
    assert left(store) == []
    monkeypatch.setattr(machine, "cuda", lambda: 0)
    built = build(plugin, chosen, watcher, sources)
    assert built.health is None and "tinytwo: ModuleNotFoundError" in built.unchecked
    assert built.state.python == sys.version.split()[0] and built.state.versions == {}
    assert "hubkit env check tinylock --environment locked:cu12" in watcher.notes[-1]
    assert build(plugin, chosen, watcher, sources) == Built(built.name, built.folder, built.state)
    with pytest.raises(EnvironmentFailure, match="tinytwo: ModuleNotFoundError") as caught:
        manage.check("tinylock", Environment(locked="cu12"))
    assert caught.value.remedy == "there is no GPU here: use this environment where there is one"


@pytest.mark.integration
def test_two_builds_at_once_are_one(
    install: Any, store: Path, wheels: Path, tmp_path: Path
) -> None:
    plugin = install(ONE_STEP)
    other = started(tmp_path, wheels)
    folder = store / locked_name(plugin, "")
    wait_for(folder / ".build")
    watcher = Watcher()
    assert manage.rows() and folder.exists()
    built = make(plugin, wheels, run=watcher)
    assert other.wait() == 0
    assert built.health is None
    assert watcher.notes == [f"another hubkit is at work on {built.name}: waiting for it"]
