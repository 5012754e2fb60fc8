"""What can be said of a plugin's class without running it: does it have what the Protocol of its
kind asks for?"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from . import SDK_VERSION
from .kinds import KINDS

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


def problems(plugin: Any) -> tuple[str, ...]:
    """Everything in which the class `plugin` departs from its contract; empty when it does not."""
    if not isinstance(plugin, type):
        return (f"{plugin!r} is not a class",)
    kind = getattr(plugin, "kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        return (f"`kind` is {kind!r}, it must be one of {', '.join(KINDS)}",)
    protocol = KINDS[kind]
    checks = {
        "name": _name,
        "sdk": _sdk,
        "version": _version,
        "Options": _options,
        "requirements": _requirements,
        "schemes": _schemes,
    }
    found = [
        problem
        for name, check in checks.items()
        if name in protocol.__annotations__ and (problem := check(plugin))
    ]
    methods = [
        name
        for name, value in vars(protocol).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    found += [problem for name in methods if (problem := _method(plugin, protocol, name))]
    if not found:
        try:
            plugin()
        except Exception as error:
            found.append(f"it must be made without arguments: {type(error).__name__}: {error}")
    return tuple(found)


def _name(plugin: Any) -> str:
    name = getattr(plugin, "name", None)
    good = isinstance(name, str) and _NAME.fullmatch(name)
    return "" if good else f"`name` is {name!r}, it must be lower-case letters, digits, `-` and `_`"


def _sdk(plugin: Any) -> str:
    version = getattr(plugin, "sdk", None)
    if not isinstance(version, str) or not re.fullmatch(r"\d+\.\d+", version):
        return (
            f"`sdk` is {version!r}, it must be the SDK version it was written for, such as "
            f"{SDK_VERSION!r}"
        )
    (major, minor), (own, newest) = (map(int, text.split(".")) for text in (version, SDK_VERSION))
    if major != own or minor > newest:
        remedy = (
            "upgrade hubkit"
            if (major, minor) > (own, newest)
            else "install a newer version of the plugin"
        )
        return f"it was written for SDK {version}, this hubkit has {SDK_VERSION}: {remedy}"
    return ""


def _version(plugin: Any) -> str:
    version = getattr(plugin, "version", None)
    return (
        ""
        if isinstance(version, str) and version
        else f"`version` is {version!r}, it must be a text such as '1'"
    )


def _options(plugin: Any) -> str:
    options = getattr(plugin, "Options", None)
    if not isinstance(options, type) or not dataclasses.is_dataclass(options):
        return "`Options` must be a dataclass"
    needed = [
        field.name
        for field in dataclasses.fields(options)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return f"`Options` must have a default for {', '.join(needed)}" if needed else ""


def _requirements(plugin: Any) -> str:
    from .environment import Requirements

    return (
        ""
        if isinstance(getattr(plugin, "requirements", None), Requirements)
        else "`requirements` must be a Requirements"
    )


def _schemes(plugin: Any) -> str:
    schemes = getattr(plugin, "schemes", None)
    good = (
        isinstance(schemes, tuple)
        and schemes
        and all(isinstance(one, str) and _SCHEME.fullmatch(one) for one in schemes)
    )
    return (
        ""
        if good
        else f"`schemes` is {schemes!r}, it must be a tuple of URL-like schemes in lower case"
    )


def _method(plugin: Any, protocol: Any, name: str) -> str:
    method = getattr(plugin, name, None)
    if not callable(method):
        return f"method `{name}` is missing"
    expected = inspect.signature(getattr(protocol, name))
    try:
        inspect.signature(method).bind(*expected.parameters)
    except (TypeError, ValueError) as error:
        return f"method `{name}` must take {expected}: {error}"
    return ""
