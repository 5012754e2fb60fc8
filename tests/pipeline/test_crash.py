"""Kills, interruptions and full disks at random instants of a release to three hubs: the next run
continues, and the release is byte for byte the one of an undisturbed run.

`make test-crash N=100` runs many; the seed decides the instants.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from testing.hub_fixtures import forget_accounts
from testing.projects import NAME, make_project

import hubkit
from hubkit.digests import files_below
from hubkit.pipeline.run import NAMES
from hubkit.rehearsal import Running, serve

pytestmark = pytest.mark.integration

CRASHES = int(os.environ.get("HUBKIT_CRASHES", "5"))
SEED = int(os.environ.get("HUBKIT_SEED", "1"))
OF_ONE_RELEASE, SHARE_OF_PREFLIGHT = 20, 0.1
SECONDS_TO_END, SECONDS_OF_WORKERS = 5.0, 2.0
TOKEN = "hf_crash9876543210zyxwvutsrqponmlk"
SLACK = 0.5 if CRASHES > 5 else 3.0  # few are struck where other tests run beside
SECONDS = {"preflight": 3, "prepare": 1, "merge": 0.5, "package": 1, "publish": 3, "verify": 1}
SECONDS |= {"train": 8, "smoke": 8, "evaluate": 12}
"""About how long they take."""
FULL = ("train", "merge", "smoke", "package", "publish", "verify")


@dataclass
class Project:
    """A release to three hubs; `crashes` are (kind, stage, exit code, seconds to its end, seconds
    until the last of its workers was gone)."""

    spec: Path
    output: Path
    hub: Running
    targets: dict[str, dict[str, Any]]
    crashes: list[tuple[str, str, int, float, float]] = field(default_factory=list)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Returns once hubkit itself runs: Python takes a moment to start."""
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "hubkit", "release", str(self.spec), "--json", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        caught = 0
        while not caught & (1 << (signal.SIGTERM - 1)) and process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            time.sleep(0.005)
        return process

    def events(self) -> list[dict[str, Any]]:
        lines = self.output.read_text("utf-8", "replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def stage(self) -> str:
        started = [e["stage"] for e in self.events() if e.get("state") == "started"]
        return started[-1] if started else "preflight"

    def strike_at_random(self, number: signal.Signals, chance: random.Random) -> bool:
        """Runs until a random stage, again from it where it is sealed, and strikes it at a random
        instant; False: the release was done before."""
        stage = chance.choice(NAMES)
        sealed = (self.spec.parent / ".hubkit" / NAME / stage / "seal.json").exists()
        process = self.start(*(("--from", stage) if sealed else ()))
        if chance.random() < SHARE_OF_PREFLIGHT:
            stage = "preflight"
        while stage not in ("preflight", self.stage()) and process.poll() is None:
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert process.wait(chance.uniform(0, SECONDS[stage])) == 0
            return False
        self.strike(process, number)
        return True

    def strike(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """One crash, and what is to hold of it at once."""
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        began, gone_at = time.monotonic(), [0.0]

        def gone_now(worker: psutil.Process) -> None:
            gone_at.append(time.monotonic() - began)

        _, alive = psutil.wait_procs(workers, timeout=10, callback=gone_now)
        gone = max(gone_at)
        code = process.wait(60)
        ended = time.monotonic() - began
        self.crashes.append((number.name, self.stage(), code, ended, gone))
        assert not alive, alive
        assert code == (130 if number != signal.SIGKILL else -signal.SIGKILL), self.events()[-1:]
        assert ended < SECONDS_TO_END + SLACK
        assert gone < SECONDS_OF_WORKERS + SLACK

    def finish(self) -> dict[str, str]:
        """Runs to the end; all that the release then is, here and at the hubs."""
        process = self.start()
        assert process.wait(600) == 0, self.output.read_text("utf-8")[-3000:]
        run = self.spec.parent / ".hubkit" / NAME
        assert [p.name for p in run.iterdir() if p.name.startswith(".") or p.name == "tmp"] == []
        folder = run / "package" / NAME
        found = {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in files_below(folder)
        }
        found["HEAD"] = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
        for to, options in self.targets.items():
            hubkit.verify(folder, to, options=options)
            scheme, _, place = to.partition(":")
            name = place.removeprefix(f"{self.hub.url}/").removesuffix(".git")
            git = self.hub.hub.git(self.hub.hub.find(name, self.hub.hub.tokens.user(TOKEN)))
            found[f"commits at {scheme}"] = str(len(git.log(git.resolve("main"), 100, 0)))
        return found


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch, serve(folder / "data", token=TOKEN) as running:
        forget_accounts(folder, patch, TOKEN)
        patch.setenv("HOME", str(folder))
        patch.setenv("SOURCE_DATE_EPOCH", "1767225600")
        yield running


def project(folder: Path, digits: Path, hub: Running, number: int) -> Project:
    """In `folder`; what hubkit says goes to where the hub is, on another disk."""
    owner = f"crash{number}"
    hub.create(f"{owner}/{NAME}-git")
    api = {"endpoint": hub.url, "token_env": "MY_TOKEN", "patience": 20.0}
    targets = {
        f"huggingface:{owner}/{NAME}": api,
        f"modelscope:{owner}/{NAME}-MS": api,
        f"git:{hub.git_url(f'{owner}/{NAME}-git')}": {"token_env": "MY_TOKEN"},
    }
    spec = make_project(folder, digits)
    publish = [{"to": to, "options": options} for to, options in targets.items()]
    text = spec.read_text("utf-8").partition("publish:")[0]
    # what was read back is compared here; downloads that are asked are slow
    text += f"publish: {json.dumps(publish)}\nverify: {{deep: false}}\n"
    spec.write_text(text, "utf-8")
    return Project(spec, Path(os.environ["HOME"]) / f"{owner}.jsonl", hub, targets)


@pytest.fixture(scope="module")
def crashes() -> Iterator[list[tuple[str, str, int, float, float]]]:
    """All of them, shown as a table at the end (`pytest -s`)."""
    found: list[tuple[str, str, int, float, float]] = []
    yield found
    print("\n\ncrash     stage      times  exit codes  slowest end  workers gone after")
    for kind, stage in sorted({one[:2] for one in found}):
        rows = [one for one in found if one[:2] == (kind, stage)]
        codes = ",".join(map(str, sorted({row[2] for row in rows})))
        print(
            f"{kind:10}{stage:10}{len(rows):6}  {codes:>10}  {max(r[3] for r in rows):9.2f} s  "
            f"{max(r[4] for r in rows):16.2f} s"
        )
    print(f"{len(found)} crashes, seed {SEED}")


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, hub: Running
) -> dict[str, str]:
    """What an undisturbed run gives."""
    return project(tmp_path_factory.mktemp("undisturbed") / "project", digits, hub, 0).finish()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_struck_at_random_instants(
    tmp_path: Path,
    digits: Path,
    hub: Running,
    undisturbed: dict[str, str],
    crashes: list[tuple[str, str, int, float, float]],
    number: signal.Signals,
) -> None:
    chance, struck, releases = random.Random(SEED + number), 0, 0
    count = CRASHES if number != signal.SIGINT else CRASHES // 10 or 1
    while struck < count:
        releases += 1
        own = project(tmp_path / str(releases), digits, hub, 1000 * number + releases)
        until = min(count, struck + OF_ONE_RELEASE)
        try:
            while struck < until:
                struck += own.strike_at_random(number, chance)
            assert own.finish() == undisturbed, f"after {struck} crashes"
        finally:
            crashes += own.crashes


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own, which can be filled."""
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(folder)], capture_output=True
        ).returncode
    ):
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes what room there is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    out.write(bytes(size))
    return filler


@pytest.mark.parametrize("stage", FULL[:: 1 if CRASHES > 5 else 5])
def test_a_full_disk(
    tmp_path: Path,
    digits: Path,
    hub: Running,
    undisturbed: dict[str, str],
    crashes: list[tuple[str, str, int, float, float]],
    stage: str,
) -> None:
    with small_disk(tmp_path) as disk:
        own = project(disk / "project", digits, hub, 100_000 + FULL.index(stage))
        process = own.start()
        while own.stage() != stage and process.poll() is None:
            time.sleep(0.01)
        began, filler = time.monotonic(), fill(disk)
        code = process.wait(300)
        error = own.events()[-1]
        ended = time.monotonic() - began
        crashes.append(("full disk", stage, code, ended, ended))
        filler.unlink()
        assert code == 4, own.output.read_text("utf-8")[-3000:]
        assert str(disk) in error["message"] + error["remedy"], error
        assert own.finish() == undisturbed
