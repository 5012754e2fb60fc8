"""Markdown from docstrings: the SDK's reference, that of `hubkit` itself, and a page for a
plugin."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from types import GenericAlias
from typing import Any

from ..registry.plugins import plugins
from ..sdk import CancelledError, HubkitError, PluginError, UsageError
from ..sdk.excerpt import did_you_mean

_MODULES = (
    "codec",
    "checkpoints",
    "child",
    "chat",
    "chat_api",
    "chat_messages",
    "vision",
    "assembly",
    "families",
    "testing",
    "testing.cases",
)


def sdk_page() -> str:
    """Everything in `hubkit.sdk.__all__`, then the modules for further needs."""
    sdk = importlib.import_module("hubkit.sdk")
    lines = ["# The SDK", "", _doc(sdk), "", f"SDK version {sdk.SDK_VERSION}.", ""]
    for name in sorted(sdk.__all__, key=str.lower):
        lines += _entry(name, getattr(sdk, name))
    for module in _MODULES:
        found = importlib.import_module(f"hubkit.sdk.{module}")
        lines += [f"## hubkit.sdk.{module}", "", _doc(found), ""]
        public = getattr(found, "__all__", None) or _own(found)
        for name in public:
            if name not in sdk.__all__:
                lines += _entry(name, getattr(found, name))
    return "\n".join(lines).rstrip() + "\n"


def python_page() -> str:
    """Everything in `hubkit.__all__`, and the errors."""
    hubkit = importlib.import_module("hubkit")
    lines = ["# Python reference", "", "Written by `make docs`; do not edit.", ""]
    for name in sorted(hubkit.__all__, key=str.lower):
        value = getattr(hubkit, name)
        if inspect.isfunction(value):
            lines += [f"### hubkit.{name}", "", "```python", _call(name, value), "```", ""]
            lines += [_doc(value), ""]
        else:
            lines += _entry(f"hubkit.{name}", value)
    errors = importlib.import_module("hubkit.errors")
    lines += ["## hubkit.errors", ""]
    for name, value in sorted(vars(errors).items()):
        if inspect.isclass(value) and issubclass(value, (HubkitError, CancelledError)):
            lines += _entry(f"hubkit.errors.{name}", value)
    return "\n".join(lines).rstrip() + "\n"


def plugin_page(name: str) -> str:
    """What the plugin is, what it needs, and its options.

    Raises:
        UsageError: there is no plugin of that name.
        PluginError: it is installed but broken.
    """
    rows = [row for row in plugins().rows() if row.name == name]
    found = [_get(row) for row in rows if row.state == "ok"]
    if rows and not found:
        raise PluginError(
            f"the plugin {name!r} of {rows[0].distribution} is {rows[0].state}",
            "fix or uninstall it",
        )
    if not found:
        near = did_you_mean(name, [row.name for row in plugins().rows()])
        raise UsageError(
            f"there is no plugin {name!r}{near}", "`hubkit plugins` lists what is installed"
        )
    lines = []
    for plugin in found:
        module = importlib.import_module(type(plugin).__module__.partition(".")[0])
        lines += [f"# {plugin.name}", "", _kind(plugin), "", _doc(module), ""]
        if own := _doc(type(plugin)):
            lines += [own, ""]
        if schemes := getattr(plugin, "schemes", ()):
            lines += ["Destinations: " + ", ".join(f"`{scheme}:TARGET`" for scheme in schemes), ""]
        if requirements := getattr(plugin, "requirements", None):
            needs = [
                f"{module} >= {least}" if least else module
                for module, least in requirements.modules
            ]
            lines += [f"Needs {', '.join(needs) or 'nothing beside Python'} where it runs.", ""]
        if options := getattr(plugin, "Options", None):
            lines += ["## Options", "", *_fields(options), ""]
    return "\n".join(lines).rstrip() + "\n"


def _kind(plugin: Any) -> str:
    article = "An" if plugin.kind[0] in "aeiou" else "A"
    return f"{article} {plugin.kind}, written for SDK {plugin.sdk}."


def _get(row: Any) -> Any:
    return plugins().get(row.kind, row.name)


def _entry(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, GenericAlias) or not (inspect.isclass(value) or inspect.isfunction(value)):
        yield from (f"### {name}", "", f"`{value!r}`" if len(repr(value)) < 200 else "", "")
        return
    signature = "" if inspect.isclass(value) else str(inspect.signature(value))
    yield from (f"### {name}{signature}", "", _doc(value), "")
    if inspect.isclass(value) and issubclass(value, HubkitError):
        yield from (f"Exit code {value.exit_code}.", "")
    if inspect.isclass(value) and dataclasses.is_dataclass(value):
        yield from (*_table(value), "")
    elif inspect.isclass(value) and getattr(value, "_is_protocol", False):
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                yield from (
                    f"- `{method}{inspect.signature(function)}`: {_doc(function) or 'see above.'}",
                    "",
                )


class _Plain(str):
    """An annotation as it is written, without the quotes of a string."""

    def __repr__(self) -> str:
        return str(self)


def _call(name: str, function: Any) -> str:
    """The signature, a parameter a line where it would not fit on one."""
    signature = inspect.signature(function)
    parameters: list[str] = []
    keywords = False
    for one in signature.parameters.values():
        if one.kind is inspect.Parameter.KEYWORD_ONLY and not keywords:
            parameters, keywords = [*parameters, "*"], True
        parameters.append(str(one.replace(annotation=_Plain(one.annotation))))
    result = f") -> {signature.return_annotation}"
    line = f"{name}({', '.join(parameters)}{result}"
    inner = "".join(f"    {one},\n" for one in parameters)
    return line if len(line) <= 88 else f"{name}(\n{inner}{result}"


def _fields(kind: Any) -> Iterator[str]:
    if own := _doc(kind):
        yield from (own, "") if "Options" in kind.__name__ else ()
    yield from _table(kind)


def _table(kind: Any) -> Iterator[str]:
    yield from ("| Field | Type | Default |", "|---|---|---|")
    for field in dataclasses.fields(kind):
        default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
        made = field.default_factory
        if made is not dataclasses.MISSING:
            default = f"`{made()!r}`"
        yield f"| `{field.name}` | `{str(field.type).replace('|', chr(92) + '|')}` | {default} |"


def _doc(value: Any) -> str:
    text = (
        inspect.getdoc(value) if not inspect.isclass(value) or value.__dict__.get("__doc__") else ""
    )
    text = text or ""
    return "" if re.match(r"^\w+\(.*\)$", text.partition("\n")[0]) else text


def _own(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
