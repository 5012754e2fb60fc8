"""A plugin's first import, in a process of its own: if it crashes, hangs or floods its output,
hubkit goes on."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..digests import of_json
from ..home import home
from ..sdk import json_text
from .entry_points import EntryPoint

SECONDS = 60.0
OUTPUT = 1 << 20
"""Bytes that a plugin may print while it is imported."""

_CODE = """
import importlib, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.path[:] = {path!r}
try:
    importlib.import_module({module!r})
except Exception:
    pass
sys.stdout.flush()
sys.stderr.flush()
"""
"""An exception is not reported here: hubkit's own import raises it again, and shows it."""

_SIGNALS = {
    signal.SIGXFSZ: f"floods its output: more than {OUTPUT:,} bytes while it is imported",
    signal.SIGSEGV: (
        "dies of a segmentation fault while it is imported: native code that does not fit this "
        "machine or Python"
    ),
    signal.SIGABRT: "aborts in native code while it is imported",
    signal.SIGILL: "needs a processor instruction that this machine lacks",
}


def problem(entry: EntryPoint) -> str:
    """Why the plugin must not be imported here; empty when it may. The answer holds until the
    plugin's files change."""
    stamp = _stamp(entry.module)
    cache = home() / "plugins" / f"{of_json([entry.value, sys.version, stamp])[:24]}.json"
    if stamp:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(json_text.load(cache)["problem"])
    found = _try(entry.module)
    if stamp:
        with contextlib.suppress(OSError):
            cache.parent.mkdir(parents=True, exist_ok=True)
            part = cache.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps({"entry": entry.value, "problem": found}), "utf-8")
            part.replace(cache)
    return found


def _try(module: str) -> str:
    code = _CODE.format(limit=OUTPUT, path=sys.path, module=module)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            ended = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            return f"hangs: it was not imported within {SECONDS:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if ended == 0:
        return ""
    if ended < 0:
        return _SIGNALS.get(
            signal.Signals(-ended), f"dies of {signal.Signals(-ended).name} while it is imported"
        )
    return f"ends the process while it is imported (exit code {ended})"


def _stamp(module: str) -> list[tuple[str, int, int]]:
    """Name, size and time of the files of the module's distribution package; empty where they
    cannot be found."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        return []
    places = [Path(place) for place in spec.submodule_search_locations or ()] or [
        Path(str(spec.origin))
    ]
    return [
        (str(file), found.st_size, found.st_mtime_ns)
        for file in _files(places)
        for found in (file.stat(),)
    ]


def _files(places: list[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        elif place.is_dir():
            yield from sorted(
                file for file in place.rglob("*") if file.suffix in (".py", ".so", ".pyd")
            )
