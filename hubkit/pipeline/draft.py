"""A release file written from what is there: a base, data, an adapter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.recognise import Recognised
from ..errors import UsageError
from ..files.yaml_text import load
from ..packaging import card
from ..sdk.excerpt import shown
from ..weights.merge import check_fit
from ..weights.model import Model
from .spec.publishing import Author

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)", re.ASCII)
"""The folder of a repository in the Hugging Face client's cache."""
_LETTER = re.compile(r"[A-Z]")
_LONG = 40
"""Characters: longer answers are seldom equal to their reference."""
_HEAD = """\
# A release: what it is made of, and where it goes. Paths are relative to this file.
#   hubkit plan {name}       what would run, and why
#   hubkit release {name}    runs it
#   hubkit schema            every key, for your editor
"""


@dataclass(frozen=True)
class Draft:
    """What a release file needs to know. `license` is empty where the base's folder states one."""

    base: Model
    data: Recognised
    author: Author
    adapter: Path | None = None
    to: tuple[str, ...] = ()
    name: str = ""
    license: str = ""

    @property
    def title(self) -> str:
        """The release's name: as said, else that of the first place it goes to, else of base and
        data."""
        if self.name:
            return self.name
        if self.to:
            last = re.split(r"[/:]", self.to[0].rstrip("/"))[-1]
            return last.removesuffix(".git")
        words = re.sub(r"[^A-Za-z0-9.]+", "-", self.data.title).strip("-.")
        return f"{base_name(self.base).rpartition('/')[2]}-{words or 'tuned'}"

    @property
    def targets(self) -> tuple[str, ...]:
        return self.to or (f"git:./hub/{self.title}.git",)

    def text(self, path: Path) -> str:
        """The release file that is to stand at `path`."""
        folder = path.absolute().parent
        base = {"path": _below(self.base.folder, folder), "name": base_name(self.base)}
        data = self.data
        sections: dict[str, Any] = {
            "name": self.title,
            "base": base | ({"license": self.license} if self.license else {}),
            "data": {
                "format": data.format,
                "path": _below(data.source, folder),
                **({"images": _below(data.images, folder)} if data.images else {}),
                "name": data.title,
                **(
                    {"holdout_file": _below(data.holdout_file, folder)}
                    if data.holdout_file
                    else {"holdout": 0.1}
                ),
            },
            "train": {"adapter": _below(self.adapter, folder)}
            if self.adapter
            else {"trainer": "peft", "options": {"rank": 16, "alpha": 32, "epochs": 1}},
            "evaluate": {"metrics": [metric(data.answers)]},
            "card": {"languages": list(data.languages or ("en",))},
            "author": self.author.model_dump(),
            "publish": [{"to": to} for to in self.targets],
        }
        return "\n".join([_HEAD.format(name=path.name), *map(_yaml, sections.items())])


def unlicensed(base: Model) -> str:
    """Why nothing in the base's folder says under which licence it is; empty when something
    does."""
    try:
        card.read_license(base.folder)
    except UsageError as error:
        return error.message
    return ""


def find_adapter(path: Path, base: Model) -> Path:
    """Raises UsageError when there is none at `path`, WeightsError when it does not fit `base`."""
    check_fit(base, path)
    return path


def base_name(base: Model) -> str:
    """`organisation/name` where the folder's path or its config.json says it, else the folder's own
    name."""
    path = base.folder.resolve()
    for part in (path.name, *(parent.name for parent in path.parents)):
        if found := _CACHED.fullmatch(part):
            return f"{found[1]}/{found[2]}"
    named = base.config.get("_name_or_path")
    if isinstance(named, str) and _REPOSITORY.fullmatch(named) and Path(named).name == path.name:
        return named
    return path.name


def parse_author(text: str) -> Author:
    """`Name <e-mail>`. Raises UsageError for anything else."""
    found = re.fullmatch(r"\s*([^<>]+?)\s*<([^<>\s]+@[^<>\s]+)>\s*", text)
    if found is None:
        raise UsageError(
            f"{shown(text)} names no author", "write `Name <you@example.org>`: the card shows it"
        )
    return Author(name=found[1], email=found[2])


def metric(answers: Sequence[str]) -> str:
    """The metric for answers such as these: letters of choices, short ones, or sentences."""
    if answers and all(_LETTER.fullmatch(answer.strip()) for answer in answers):
        return "multiple_choice"
    long = sum(len(answer) > _LONG for answer in answers)
    return "anls" if 2 * long > len(answers) else "exact_match"


def _below(path: Path, folder: Path) -> str:
    whole = path.absolute()
    return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)


def _yaml(section: tuple[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what hubkit's own reader, of YAML 1.2, would not take for text."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        try:
            plain = load(value) == value
        except ValueError:
            plain = False
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')

    Dumper.add_representer(str, text)
    return yaml.dump(dict([section]), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=999)
