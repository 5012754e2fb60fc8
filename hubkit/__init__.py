"""hubkit: from a fine-tuned vision-language model to a verified public release.

    import hubkit

    result = hubkit.release("release.yaml")            # data -> adapter -> model -> card -> hubs -> proof
    print(result.evaluation.base_score, "->", result.evaluation.score, result.receipts[0].url)

Each step is also a function on folders: `assemble`, `merge`, `convert`, `export`, `check`,
`smoke`, `evaluate`, `card`, `track`, `push`, `verify`; each has its twin on the command line. Errors are
`hubkit.errors.HubkitError`s: a message, a remedy and an exit code. `hubkit.sdk` is for plugin
authors.

Importing hubkit is cheap: each function's module is imported when it is first used.
"""  # noqa: E501

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api.check import check
    from .api.data import PrepareSettings, prepare
    from .api.doctor import doctor
    from .api.folders import assemble, card, convert, merge, track
    from .api.hubs import diff, login_status, push, verify, withdraw
    from .api.init import init
    from .api.models import demo, evaluate, serve, smoke
    from .api.plugins import check_plugin, new_plugin
    from .api.rehearse import rehearse
    from .api.release import (
        ReleaseResult,
        Spec,
        StageOutcome,
        StagePlan,
        foresee,
        json_schema,
        load_spec,
        plan,
        release,
        release_each,
    )
    from .api.variants import export
    from .reporting import Reporter

_HOMES = {
    "api.check": ("check",),
    "api.data": ("PrepareSettings", "prepare"),
    "api.doctor": ("doctor",),
    "api.folders": ("assemble", "card", "convert", "merge", "track"),
    "api.hubs": ("diff", "login_status", "push", "verify", "withdraw"),
    "api.init": ("init",),
    "api.models": ("demo", "evaluate", "serve", "smoke"),
    "api.plugins": ("check_plugin", "new_plugin"),
    "api.rehearse": ("rehearse",),
    "api.release": (
        "ReleaseResult",
        "Spec",
        "StageOutcome",
        "StagePlan",
        "foresee",
        "json_schema",
        "load_spec",
        "plan",
        "release",
        "release_each",
    ),
    "api.variants": ("export",),
    "reporting": ("Reporter",),
}
"""Where each public name is, so that importing hubkit imports none of them."""

__all__ = [
    "PrepareSettings",
    "ReleaseResult",
    "Reporter",
    "Spec",
    "StageOutcome",
    "StagePlan",
    "assemble",
    "card",
    "check",
    "check_plugin",
    "convert",
    "demo",
    "diff",
    "doctor",
    "evaluate",
    "export",
    "foresee",
    "init",
    "json_schema",
    "load_spec",
    "login_status",
    "merge",
    "new_plugin",
    "plan",
    "prepare",
    "push",
    "rehearse",
    "release",
    "release_each",
    "serve",
    "smoke",
    "track",
    "verify",
    "withdraw",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'hubkit' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
