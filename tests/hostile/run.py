"""Runs the corpus: each case in a fork of this process, through the command line's own entry.

python tests/hostile/run.py [--sample N] [--kind NAME] [--json]
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from case import Case

SECONDS = 10.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
"""Ten, and as many times more as there are others that wait for this machine's processors."""
MEMORY = 1 << 30
_MOST_SAID = 64 << 10
_ADDRESS_SPACE = 6 << 30


@dataclass(frozen=True)
class Outcome:
    """`memory` is the peak of what was resident, in bytes; `wrong` is empty when all is well."""

    kind: str
    name: str
    exited: int
    seconds: float
    memory: int
    wrong: str
    said: str


def corpus() -> Iterator[tuple[str, Case]]:
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"hostile_{path.stem}", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for case in module.CASES:
            yield module.KIND, case


def run(kind: str, case: Case) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="hubkit-hostile-") as name:
        folder, log = Path(name) / "work", Path(name) / "log"
        folder.mkdir()
        _make(case, folder)
        with answering(case.answer) as url:
            began = time.monotonic()
            child = os.fork()
            if child == 0:
                _child(case, folder, log, url)
            with _beside(case, folder, child) as found:
                status, memory = _wait(child, began + SECONDS)
        seconds = time.monotonic() - began
        said = log.read_text("utf-8", "replace") if log.exists() else ""
        wrong = [*_faults(case, os.waitstatus_to_exitcode(status), seconds, memory, said), *found]
        try:
            if case.after is not None:
                case.after(folder)
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {error}")
    exited = os.waitstatus_to_exitcode(status)
    return Outcome(kind, case.name, exited, seconds, memory, "; ".join(wrong), said[-2000:])


@contextmanager
def _beside(case: Case, folder: Path, child: int) -> Iterator[list[str]]:
    """What `case.beside` raised, once the block has ended."""
    found: list[str] = []
    if case.beside is None:
        yield found
        return
    notes = folder.parent / "beside"
    process = os.fork()
    if process == 0:
        try:
            case.beside(folder, child)
        except BaseException as error:
            notes.write_text(f"{type(error).__name__}: {error}", "utf-8")
        finally:
            os._exit(0)
    yield found
    while not os.waitpid(process, os.WNOHANG)[0]:
        time.sleep(0.01)
    if notes.exists():
        found.append(notes.read_text("utf-8"))


@contextmanager
def answering(answer: tuple[int, Mapping[str, str], bytes | None] | None) -> Iterator[str]:
    """The address of a server that answers all requests so; empty without an answer."""
    if answer is None:
        yield ""
        return
    status, headers, body = answer

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            if body is None:
                threading.Event().wait()
            with suppress(OSError):
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value.replace("URL", url))
                self.end_headers()
                self.wfile.write(body or b"")

        do_GET = do_POST = do_PUT = do_HEAD = do

        def log_message(self, format: str, *arguments: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield url
        server.shutdown()


def _make(case: Case, folder: Path) -> None:
    """In a fork, so that what it takes does not count as what hubkit takes."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            case.make(folder)
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{case.name} could not be made")


def _warm() -> None:
    """Imports what the commands need, once for all forks."""
    from hubkit.cli import cli
    from hubkit.registry.plugins import plugins

    for room in ("data", "folders", "models", "release"):
        importlib.import_module(f"hubkit.api.{room}")
    plugins().of("family")
    for name in ("check", "convert", "merge", "plan", "prepare", "serve"):
        cli.get_command(None, name)  # type: ignore[arg-type]


def _child(case: Case, folder: Path, log: Path, url: str) -> None:
    code = 70
    try:
        os.setsid()
        # a script that runs this in the background leaves SIGINT ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
        gc.callbacks.clear()  # hypothesis's own would swallow a signal
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        for target in (1, 2):
            os.dup2(output, target)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ |= {"HOME": str(folder.parent), "XDG_STATE_HOME": str(folder.parent)}
        os.environ |= {"HUBKIT_HOME": str(folder.parent / "home"), "HUBKIT_OFFLINE": "1"}
        os.environ |= {name: word.replace("URL", url) for name, word in case.variables.items()}
        os.chdir(folder)
        from hubkit.__main__ import run as hubkit

        code = hubkit([word.replace("URL", url) for word in case.command])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(child: int, until: float) -> tuple[int, int]:
    """Its status and its peak, in bytes; it is killed at `until`."""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return status, usage.ru_maxrss * 1024
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return status, usage.ru_maxrss * 1024
        time.sleep(0.003)


def _faults(case: Case, exited: int, seconds: float, memory: int, said: str) -> Iterator[str]:
    if seconds >= SECONDS:
        yield f"took more than {SECONDS:g} s"
    elif exited != case.exits:
        yield f"exit {exited}, not {case.exits}"
    if memory > MEMORY:
        yield f"took {memory >> 20} MiB"
    if len(said) > _MOST_SAID:
        yield f"said {len(said):,} characters"
    if "Traceback (most recent call last)" in said or "a bug in hubkit" in said:
        yield "a traceback"
    if exited and "remedy:" not in said and "Try 'hubkit" not in said:
        yield "no remedy"
    words = " ".join(re.sub(r"[│┃]", " ", said).split())
    if case.says and case.says not in words:
        yield f"does not say {case.says!r}"


def _run_all(chosen: Sequence[tuple[str, Case]]) -> Iterator[Outcome]:
    """In as many processes as there are processors, each with every so-many-eth case."""
    jobs = min(os.cpu_count() or 1, len(chosen))
    with tempfile.TemporaryDirectory(prefix="hubkit-hostile-") as name:
        children = []
        for job in range(jobs):
            child = os.fork()
            if child == 0:
                with (Path(name) / str(job)).open("w") as out:
                    for kind, case in chosen[job::jobs]:
                        print(json.dumps(asdict(run(kind, case))), file=out, flush=True)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        lines = [(Path(name) / str(job)).read_text().splitlines() for job in range(jobs)]
    found = [Outcome(**json.loads(line)) for own in lines for line in own]
    if len(found) != len(chosen):
        raise RuntimeError(f"{len(chosen) - len(found)} cases were not run")
    yield from sorted(found, key=lambda one: one.kind)


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [f"{'kind':<24}{'cases':>6}{'wrong':>7}{'exit 1':>8}{'over':>6}{'slowest':>9}{'MiB':>6}"]
    for kind in dict.fromkeys(one.kind for one in outcomes):
        own = [one for one in outcomes if one.kind == kind]
        over = sum(one.seconds >= SECONDS or one.memory > MEMORY for one in own)
        rows.append(
            f"{kind:<24}{len(own):>6}{sum(bool(one.wrong) for one in own):>7}"
            f"{sum(one.exited == 1 for one in own):>8}{over:>6}"
            f"{max(one.seconds for one in own):>8.1f}s{max(o.memory for o in own) >> 20:>6}"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, help="so many cases, spread over the kinds")
    parser.add_argument("--kind", help="only this kind")
    parser.add_argument("--json", action="store_true", help="one outcome a line")
    given = parser.parse_args(arguments)
    _warm()
    chosen = [(kind, case) for kind, case in corpus() if given.kind in (None, kind)]
    if given.sample:
        chosen = chosen[:: max(1, len(chosen) // given.sample)]
    outcomes = list(_run_all(chosen))
    if given.json:
        for one in outcomes:
            print(json.dumps(asdict(one)))
    else:
        for one in outcomes:
            if one.wrong:
                print(f"{one.kind}: {one.name}: {one.wrong}\n    {one.said[-600:]!r}")
        print(_table(outcomes))
    return int(any(one.wrong for one in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
