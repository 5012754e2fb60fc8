"""What the repository's documents say is so: commands, release file, exit codes, examples,
links."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

import hubkit
from hubkit import cli
from hubkit.cli.diff import DIFFERENT
from hubkit.sdk import errors

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
VERBS = set(cli._SUMMARIES)


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _text(name), re.M | re.S)


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = _text(name)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page):
        assert target.startswith("https://") or (ROOT / name).parent.joinpath(target).exists(), (
            target
        )


@pytest.mark.parametrize("name", READMES)
def test_the_two_commands_come_first(name: str) -> None:
    first = _blocks(name, "bash")[0].splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make quickstart", "make test"]
    makefile = _text("Makefile")
    for page in (name, "CONTRIBUTING.md"):
        for target in set(re.findall(r"^make (\S+)", "\n".join(_blocks(page, "bash")), re.M)):
            assert re.search(rf"^{target}:", makefile, re.M), target


@pytest.mark.parametrize("name", READMES)
def test_commands_exist_with_their_options(name: str) -> None:
    lines = [line.split("#")[0] for block in _blocks(name, "bash") for line in block.splitlines()]
    used = set()
    for words in (line.replace(".venv/bin/", "").split() for line in lines):
        if not words or words[0] != "hubkit":
            continue
        used.add(words[1])
        command = cli.cli.get_command(None, words[1])  # type: ignore[arg-type]
        assert command is not None, words
        if isinstance(command, click.Group):
            command = command.commands[words[2]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words
    mentioned = set(re.findall(r"`hubkit ([a-z]+)", _text(name)))
    assert mentioned <= VERBS
    assert set(cli._FOLDERS) <= used
    assert used | mentioned | {"quickstart"} == VERBS


@pytest.mark.parametrize("name", READMES)
def test_the_release_file_is_valid(name: str, tmp_path: Path) -> None:
    (block,) = _blocks(name, "yaml")
    (tmp_path / "release.yaml").write_text(block, encoding="utf-8")
    spec = hubkit.load_spec(tmp_path / "release.yaml")
    assert (spec.name, spec.base.name) == ("InternVL2-2B-Food", "OpenGVLab/InternVL2-2B")
    assert spec.evaluate.require == {"exact_match": ">= 0.8", "improvement_ci": "> 0"}
    assert spec.publish[0].to == f"git:{tmp_path}/hub/InternVL2-2B-Food.git"
    assert set(yaml.safe_load(block)) == set(type(spec).model_fields)


def test_both_readmes_show_the_same() -> None:
    english, chinese = (_text(name) for name in READMES)
    assert len(re.findall("^## ", english, re.M)) == len(re.findall("^## ", chinese, re.M))

    def code(page: str) -> list[str]:
        blocks = re.findall(r"^```(?:bash|yaml|python)\n(.*?)^```$", page, re.M | re.S)
        return [
            re.sub(r"\s*#.*", "", line)
            for block in blocks
            for line in block.splitlines()
            if re.sub(r"\s*#.*", "", line).strip()
        ]

    assert [line for line in code(english) if "summary" not in line] == [
        line for line in code(chinese) if "summary" not in line
    ]


@pytest.mark.parametrize(
    "name", [*READMES, "docs/troubleshooting.md", "docs/zh/troubleshooting.md"]
)
def test_exit_codes_are_those_of_the_errors(name: str) -> None:
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", _text(name), re.M)}
    assert table == {0, DIFFERENT} | {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, (errors.HubkitError, errors.CancelledError))
    }


@pytest.mark.parametrize("name", READMES)
def test_the_python_example_uses_what_there_is(name: str) -> None:
    (block,) = _blocks(name, "python")
    calls = {
        node.attr
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "hubkit"
    }
    assert calls <= set(hubkit.__all__)
    assert set(cli._FOLDERS) <= set(hubkit.__all__)
    from hubkit.pipeline.run import ReleaseResult

    fields = set(re.findall(r"result\.(\w+)", block))
    assert fields <= set(ReleaseResult.__annotations__)


@pytest.mark.parametrize("name", READMES)
def test_extras_and_plugins_are_those_of_the_project(name: str) -> None:
    project = _text("pyproject.toml")
    for extra in re.findall(r"'\.\[(\w+)\]'", _text(name)):
        assert re.search(rf"^{extra} = \[", project, re.M), extra
    groups = re.findall(
        r'^\[project.entry-points."hubkit\.\w+"\]\n((?:\w+ = .*\n)+)', project, re.M
    )
    plugins = re.findall(r"^(\w+) = ", "".join(groups), re.M)
    assert len(plugins) > len(groups) == 7
    for plugin in plugins:
        assert f"`{plugin}`" in _text(name), plugin


def test_the_plugin_of_the_guide_conforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin, test = _blocks("CONTRIBUTING.md", "python")
    package = tmp_path / "hubkit_csv_pairs"
    package.mkdir()
    (package / "__init__.py").write_text(plugin)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    scope: dict[str, object] = {}
    try:
        exec(compile(test, "CONTRIBUTING.md", "exec"), scope)  # noqa: S102
        data = tmp_path / "data"
        data.mkdir()
        scope["test_conformance"](data)  # type: ignore[operator]
    finally:
        sys.modules.pop("hubkit_csv_pairs", None)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/design.md"])
def test_the_places_it_names_are_there(name: str) -> None:
    tops = "hubkit|plugins|templates|tests"
    for place in re.findall(rf"`((?:{tops})/[^`\s]*)`", _text(name)):
        if (
            "<" not in place
            and "csv_pairs" not in place
            and not place.startswith("hubkit/cli/size")
        ):
            assert (ROOT / place).exists(), place


def test_no_machine_of_ours_is_named() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.j2"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        assert not re.search(r"/work/|/tmp/v\b|localhost:|pypi\.", _text(name)), name
