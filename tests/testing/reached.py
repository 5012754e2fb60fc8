"""Is every message made by some test? A plugin of pytest that records, over a whole default run,
where errors and problems are made, and fails the run for those made nowhere.

It watches the constructors in each process of pytest-xdist, not in processes that tests start.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hubkit.sdk import errors, family

ROOMS = (
    "hubkit/hygiene",
    "hubkit/weights",
    "hubkit/data",
    "hubkit/files",
    "hubkit/sdk/checkpoints",
    "hubkit/sdk/families",
    "plugins/blip2/hubkit_blip2",
    "plugins/internvl/hubkit_internvl",
    "plugins/llava/hubkit_llava",
    "plugins/llava_next/hubkit_llava_next",
    "plugins/qwen_vl/hubkit_qwen_vl",
)
"""What judges the things that users bring."""
OF_THE_SYSTEM: Mapping[tuple[str, str], str] = {}
"""(file, words of the message) -> why no test of this suite can have it made."""
_NAMES = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and name.endswith("Error")
} | {"EnvironmentFailure", "Problem"}


class Site(NamedTuple):
    """A call that makes an error or a problem, in `lines`; `text` is its code."""

    file: str
    lines: range
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.lines.start}: {self.text}"


class Reached:
    """Registered by a conftest. `root` holds the `rooms`; `excused` are sites that need not be
    met."""

    def __init__(
        self,
        config: pytest.Config,
        rooms: Sequence[str] = ROOMS,
        excused: Mapping[tuple[str, str], str] = OF_THE_SYSTEM,
    ) -> None:
        self.root, self.rooms, self.excused = config.rootpath, rooms, excused
        given = getattr(config, "workerinput", None)
        self.wanted = _is_whole(config) if given is None else given.get("reached", False)
        self.met: set[tuple[str, int]] = set()
        self.left: list[str] = []
        self.restore: list[Callable[[], None]] = []
        if self.wanted:
            for kind in (errors._Told, family.Problem):
                self._watch(kind)

    def _watch(self, kind: type) -> None:
        made = kind.__init__

        @functools.wraps(made)
        def noted(instance: object, *args: Any, **options: Any) -> None:
            frame = sys._getframe(1)
            while frame.f_code.co_filename == errors.__file__ and frame.f_back:
                frame = frame.f_back
            self.met.add((frame.f_code.co_filename, frame.f_lineno))
            made(instance, *args, **options)

        kind.__init__ = noted  # type: ignore[misc]
        self.restore.append(lambda: setattr(kind, "__init__", made))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["reached"] = self.wanted

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.met |= set(map(tuple, getattr(node, "workeroutput", {}).get("reached", ())))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["reached"] = sorted(map(list, self.met))
        elif self.wanted and exitstatus == pytest.ExitCode.OK:
            self.left = [*self._unmet()]
            if self.left:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.left:
            terminalreporter.section("made by no test (tests/testing/reached.py)", red=True)
            for line in self.left:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        for restore in self.restore:
            restore()

    def _unmet(self) -> Iterator[str]:
        met = {
            (Path(file).relative_to(self.root).as_posix(), line)
            for file, line in self.met
            if Path(file).is_relative_to(self.root)
        }
        unused = set(self.excused)
        for site in (site for room in self.rooms for site in sites(self.root, room)):
            excuses = {key for key in self.excused if key[0] == site.file and key[1] in site.text}
            unused -= excuses
            if not excuses and not any((site.file, line) in met for line in site.lines):
                yield str(site)
        yield from (f"{file}: no site says {text!r}; excuse it no more" for file, text in unused)


def sites(root: Path, room: str) -> Iterator[Site]:
    """Each call of an error class or of Problem in the modules of `room`."""
    for path in sorted((root / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in _NAMES:
                lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                yield Site(path.relative_to(root).as_posix(), lines, ast.unparse(node))


def _is_whole(config: pytest.Config) -> bool:
    option = config.option
    chosen = (option.keyword, option.deselect, option.ignore, option.ignore_glob, option.maxfail)
    return (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and option.markexpr == "not integration"
        and not any(chosen)
        and not any(getattr(option, name, False) for name in ("lf", "stepwise", "collectonly"))
    )
