"""The environments of the installed trainers and engines: list, lock, build, check, remove. What
`hubkit env` calls."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, Health, Run, SilentRun, UsageError

from ..registry.plugins import plugins
from ..sdk.excerpt import did_you_mean
from . import choice, locks, machine, resolver, store
from .ask import ask_health
from .build import Built, Sources
from .build import build as build_locked
from .environment import Environment
from .installed import differences
from .locks import Lock

KINDS = ("trainer", "engine", "exporter")


@dataclass(frozen=True)
class Row:
    """One environment; `size` is in bytes, and `environment: locked` takes it when it is `chosen`.
    `state` is one of

    built   it is there
    absent  it fits this machine and is not built
    unfit   it does not fit, for the reason in `why`
    stale built from a lock that no plugin has any more
    broken  the plugin's locks cannot be read: `why`
    """

    plugin: str
    kind: str
    variant: str
    python: str
    platform: str
    packages: int
    state: str
    why: str
    chosen: bool
    name: str
    folder: str
    size: int


@dataclass(frozen=True)
class Checked:
    """`environment` is `current`, `locked VARIANT` or `python`; `interpreter` the program that was
    asked."""

    plugin: str
    kind: str
    environment: str
    interpreter: str
    health: Health


def rows(*, sweep: bool = True) -> tuple[Row, ...]:
    """Every lock of the installed trainers and engines and every environment that was built, by
    plugin. Deletes what killed builds have left, unless told not to `sweep`."""
    if sweep:
        store.sweep()
    states = store.built()
    found = [row for plugin in _with_locks() for row in _rows_of(plugin, states)]
    known = {row.name for row in found}
    return (*found, *(_stale(name, state) for name, state in states.items() if name not in known))


def build(
    plugin: str,
    variant: str = "",
    *,
    find_links: Sequence[str] = (),
    no_index: bool = False,
    run: Run | None = None,
) -> Built:
    """The locked environment of `plugin`, built unless it is there. `variant` is as in the lock's
    name, "" for the one that fits. `find_links` are folders or pages of wheels; with `no_index`,
    nothing else is asked.

    Raises:
        UsageError: there is no such plugin, or it has no such lock.
        EnvironmentFailure: no lock fits this machine, pip failed, or the environment does not work;
            nothing is left behind.
    """
    store.sweep()
    found = find(plugin)
    return build_locked(
        found,
        choice.choose(found, variant),
        run or SilentRun(),
        Sources(tuple(find_links), no_index),
    )


def check(plugin: str, environment: Environment) -> Checked:
    """Imports what `plugin` needs in `environment`, runs its probe, and looks for packages that
    contradict one another.

    Raises:
        EnvironmentFailure: it is not built, or something is missing: says what, with the command
            that installs it.
    """
    store.sweep()
    found, label = find(plugin), "current" if environment.python is None else "python"
    if environment.locked is not None:
        lock = choice.choose(found, environment.locked).lock
        folder, label = store.root() / store.name_of(lock), f"locked {lock.variant}"
        if store.state_of(folder) is None:
            command = f"hubkit env build {plugin}" + (
                f" --variant {lock.variant}" if environment.locked else ""
            )
            raise EnvironmentFailure(
                f"the environment of {plugin} ({lock.file_name}) is not built", f"run `{command}`"
            )
        if wrong := differences(folder, lock):
            listed = "".join(f"\n  {one}" for one in wrong)
            remedy = f"run `hubkit env remove {folder.name}`, then `hubkit env build {plugin}`"
            raise EnvironmentFailure(
                f"the environment in {folder} was changed since it was built:{listed}", remedy
            )
        environment = Environment(store.python_of(folder), lock.variant)
    with tempfile.TemporaryDirectory(prefix="hubkit-health-") as work:
        health = ask_health(found, environment, Path(work))
    return Checked(found.name, found.kind, label, str(environment.interpreter), health)


def remove(
    names: Sequence[str] = (),
    *,
    stale: bool = False,
    everything: bool = False,
    run: Run | None = None,
) -> tuple[Row, ...]:
    """Deletes environments: those of the named plugins or of the names in `rows()`, the stale ones,
    or all.

    Raises:
        UsageError: nothing of that name is built.
    """
    there = [row for row in rows() if row.state in ("built", "stale")]
    for name in names:
        if not any(name in _names(row) for row in there):
            near = did_you_mean(name, [each for row in there for each in _names(row)])
            raise UsageError(f"no environment of {name!r} is built{near}", "see `hubkit env list`")
    chosen = [
        row
        for row in there
        if everything or (stale and row.state == "stale") or set(names) & _names(row)
    ]
    for row in {row.name: row for row in chosen}.values():
        with store.locked(row.name, run or SilentRun()) as folder:
            store.remove(folder)
            folder.with_name(f"{folder.name}.log").unlink(missing_ok=True)
    return tuple(chosen)


def lock(
    plugin: str,
    *,
    variants: Sequence[str] = (),
    python: str = "",
    out: Path | None = None,
    find_links: Sequence[str] = (),
    no_index: bool = False,
    run: Run | None = None,
) -> tuple[Path, ...]:
    """Resolves `locks/<variant>.in.json` of `plugin` for this platform and Python `python` (such as
    `3.11`; hubkit's own by default), and writes the locks beside them, or to `out`.

    Raises:
        UsageError: the plugin has no such source file.
        EnvironmentFailure: pip found no versions that fit together.
    """
    found = find(plugin)
    place = locks.folder(found)
    paths = (
        {path.name.removesuffix(".in.json"): path for path in sorted(place.glob("*.in.json"))}
        if place
        else {}
    )
    for variant in variants or [""]:
        if not paths or (variant and variant not in paths):
            known = (
                f"there are: {', '.join(paths)}"
                if paths
                else "give its Requirements a folder of `locks` with such a file"
            )
            raise UsageError(
                f"{found.kind} {found.name} has no {variant or '<variant>'}.in.json to lock from",
                known,
            )
    version, interpreter = resolver.interpreter(python)
    written = []
    for variant in variants or paths:
        source = locks.read_source(paths[variant])
        resolved = resolver.resolve(
            source, interpreter, version, run or SilentRun(), Sources(tuple(find_links), no_index)
        )
        target = (out or paths[variant].parent) / resolved.file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(locks.text(resolved), "utf-8")
        written.append(target)
    return tuple(written)


def find(name: str) -> Any:
    """The trainer or engine of that name, or of `trainer:NAME`, `engine:NAME` when there are both.

    Raises:
        UsageError: there is none, or both.
    """
    kind, colon, short = name.rpartition(":")
    if colon and kind in KINDS:
        return plugins().get(kind, short)
    found = [plugins().of(kind)[name] for kind in KINDS if name in plugins().of(kind)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{name!r} is a trainer and an engine", f"write trainer:{name} or engine:{name}"
        )
    known = ", ".join(f"{one.kind} {one.name}" for one in _all())
    raise UsageError(
        f"there is no trainer or engine {name!r}{did_you_mean(name, [one.name for one in _all()])}",
        f"installed: {known}; `hubkit plugins` lists what is installed",
    )


def _all() -> Iterator[Any]:
    for kind in KINDS:
        yield from plugins().of(kind).values()


def _with_locks() -> list[Any]:
    return sorted((one for one in _all() if one.requirements.locks), key=lambda one: str(one.name))


def _names(row: Row) -> set[str]:
    return {row.name, row.plugin, f"{row.kind}:{row.plugin}"}


def _rows_of(plugin: Any, states: dict[str, store.State]) -> Iterator[Row]:
    try:
        found = locks.read_locks(plugin)
    except UsageError as error:
        yield Row(
            plugin.name, plugin.kind, "", "", "", 0, "broken", error.message, False, "", "", 0
        )
        return
    chosen = _chosen(plugin)
    for one in found:
        name = store.name_of(one)
        state, why = states.get(name), _why(one)
        yield Row(
            plugin.name,
            plugin.kind,
            one.variant,
            one.python,
            one.platform,
            one.packages,
            "built" if state else "unfit" if why else "absent",
            "" if state else why,
            one == chosen,
            name,
            str(store.root() / name),
            state.size if state else 0,
        )


def _chosen(plugin: Any) -> Lock | None:
    try:
        return choice.choose(plugin).lock
    except (UsageError, EnvironmentFailure):
        return None


def _why(lock: Lock) -> str:
    missing = "" if machine.python(lock.python) else f"no python{lock.python} on PATH that runs"
    return choice.unfit(lock) or missing


def _stale(name: str, state: store.State) -> Row:
    return Row(
        state.plugin,
        "",
        state.variant,
        state.python,
        state.platform,
        state.packages,
        "stale",
        "no installed plugin has this lock",
        False,
        name,
        str(store.root() / name),
        state.size,
    )
