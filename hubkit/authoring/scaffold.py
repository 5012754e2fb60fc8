"""`hubkit plugins new`: a small, complete distribution for a plugin."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from ..resources import templates
from ..sdk import KINDS, SDK_VERSION, UsageError
from ..sdk.excerpt import did_you_mean
from ..sdk.install import DISTRIBUTION
from ..weights.staging import staged

_USAGE = {
    "dataset": "`data: {format: NAME, path: ...}`.",
    "metric": "`evaluate: {metrics: [NAME]}`.",
    "engine": "`smoke: {engine: NAME}` and `evaluate: {engine: NAME}`.",
    "exporter": "`hubkit export FOLDER OUT --exporter NAME`.",
    "trainer": "`train: {trainer: NAME}`.",
    "hub": (
        "`publish: [{to: 'NAME:TARGET'}]`; on the command line `hubkit push FOLDER --to "
        "NAME:TARGET`."
    ),
    "family": "nothing; hubkit asks every family whether it recognises the base's config.json.",
}
_SLACK = 1 << 20


def new_plugin(kind: str, name: str, parent: Path) -> Path:
    """Writes the folder `parent/name` with the distribution `hubkit-<name>` and returns it.

    Raises:
        UsageError: no such kind, a name that is none, or the folder is there already.
    """
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise UsageError(
            f"there is no kind of plugin {kind!r}{near}", f"kinds are {', '.join(KINDS)}"
        )
    if (
        not re.fullmatch(r"[a-z][a-z0-9_]*", name)
        or keyword.iskeyword(name)
        or name in sys.stdlib_module_names
    ):
        raise UsageError(
            f"not a name for a plugin: {name!r}",
            "use lower-case letters, digits and `_`, such as my_bucket",
        )
    distribution = f"hubkit-{name.replace('_', '-')}"
    if distribution == DISTRIBUTION:
        raise UsageError(f"{distribution} is hubkit itself", "choose another name")
    names = {
        "kind": kind,
        "name": name,
        "package": f"hubkit_{name}",
        "distribution": distribution,
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "scheme": name.replace("_", "-"),
        "hubkit": DISTRIBUTION,
        "sdk": SDK_VERSION,
        "usage": _USAGE[kind].replace("NAME:", name.replace("_", "-") + ":").replace("NAME", name),
    }
    files = {
        "pyproject.toml": "common/pyproject.toml.j2",
        "README.md": "common/README.md.j2",
        f"tests/test_{names['package']}.py": "common/tests/test_plugin.py.j2",
        f"{names['package']}/__init__.py": f"{kind}/plugin.py.j2",
        f"{names['package']}/conformance.py": f"{kind}/conformance.py.j2",
    }
    out = parent / name
    with staged(out, _SLACK) as folder:
        for path, template in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(_render(template, names), encoding="utf-8", newline="\n")
    return out


def _render(template: str, names: dict[str, str]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Python source, not a page: nothing is to be escaped, and every value was checked to be a plain
    # name
    environment = Environment(
        loader=FileSystemLoader(templates("plugin")),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(template).render(names)
