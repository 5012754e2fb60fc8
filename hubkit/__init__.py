"""hubkit: from a fine-tuned vision-language model to a verified public release.

    import hubkit

    result = hubkit.release("release.yaml")            # data -> adapter -> model -> card -> hubs -> proof
    print(result.evaluation.base_score, "->", result.evaluation.score, result.receipts[0].url)

Each step is also a function on folders: `assemble`, `merge`, `convert`, `check`, `smoke`,
`evaluate`, `card`, `track`, `push`, `verify`; each has its twin on the command line. Errors are
`hubkit.errors.HubkitError`s: a message, a remedy and an exit code. `hubkit.sdk` is for plugin
authors.

Importing hubkit is cheap: each function's module is imported when it is first used.
"""  # noqa: E501

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import (
        assemble,
        card,
        check,
        convert,
        evaluate,
        foresee,
        init,
        merge,
        plan,
        push,
        release,
        smoke,
        track,
        verify,
    )
    from .authoring import check_plugin, new_plugin
    from .data.prepare import PrepareSettings, prepare
    from .diagnosis import doctor
    from .load import load as load_spec
    from .pipeline import ReleaseResult, StageOutcome, StagePlan
    from .remote import diff, login_status, rehearse, withdraw
    from .reporting import Reporter
    from .serving import serve
    from .spec import Spec, json_schema

_HOMES = {
    "assemble": "api",
    **dict.fromkeys(
        [
            "card",
            "check",
            "convert",
            "evaluate",
            "foresee",
            "init",
            "merge",
            "plan",
            "push",
            "release",
        ],
        "api",
    ),
    **dict.fromkeys(["smoke", "track", "verify"], "api"),
    **dict.fromkeys(["diff", "login_status", "rehearse", "withdraw"], "remote"),
    "check_plugin": "authoring",
    "new_plugin": "authoring",
    "doctor": "diagnosis",
    "serve": "serving",
    "load_spec": "load",
    **dict.fromkeys(["PrepareSettings", "prepare"], "data.prepare"),
    "ReleaseResult": "pipeline",
    "StageOutcome": "pipeline",
    "StagePlan": "pipeline",
    "Reporter": "reporting",
    "Spec": "spec",
    "json_schema": "spec",
}

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
    "diff",
    "doctor",
    "evaluate",
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
    "serve",
    "smoke",
    "track",
    "verify",
    "withdraw",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'hubkit' has no attribute {name!r}")
    value = getattr(
        import_module(f".{_HOMES[name]}", __name__), "load" if name == "load_spec" else name
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
