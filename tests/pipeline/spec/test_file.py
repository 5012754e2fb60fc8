"""release.yaml: every problem at once, with its line and the nearest known key."""

from pathlib import Path

import pytest

from hubkit.errors import SpecError, UsageError
from hubkit.pipeline.spec.fields import LockedEnvironment
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.spec.model import Spec, json_schema

WHERE = "`current`, `locked`, `locked:VARIANT`, or the path of an interpreter"
GOOD = """\
name: InternVL2-Tiny-Test
base:
  path: base
data:
  path: data/train.json
  holdout: 0.25
train:
  options:
    rank: 8
publish:
  - to: git:./hub/InternVL2-Tiny-Test.git
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "release.yaml"
    path.write_text(text, "utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(write(folder, text))
    assert caught.value.exit_code == 2
    first, *rest = caught.value.message.splitlines()
    assert first.startswith(str(len(rest)))
    return [line.strip().replace(str(folder / "release.yaml"), "FILE") for line in rest]


def test_paths_are_relative_to_the_file_and_defaults_are_filled_in(tmp_path: Path) -> None:
    spec = load(write(tmp_path, GOOD))
    assert spec.base.path == tmp_path / "base"
    assert spec.base.name == "base"
    assert spec.data.path == tmp_path / "data/train.json"
    assert spec.data.images == tmp_path / "data"
    assert spec.publish[0].to == f"git:{tmp_path}/hub/InternVL2-Tiny-Test.git"
    assert (spec.tag, spec.smoke.engine, spec.verify.deep) == ("v1.0.0", "transformers", True)


def test_every_problem_is_reported_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace("name:", "nmae:")
        .replace("holdout: 0.25", "holdout: 1.5")
        .replace("rank: 8", "rnak: 8")
        + "smoke:\n  images: none\n"
    )
    found = problems(tmp_path, text)
    assert found[0] == "FILE: 'name' is missing" or "FILE: 'name' is missing" in found
    assert "FILE, line 1: unknown key 'nmae' (did you mean 'name'?)" in found
    assert any(
        p.startswith(
            "FILE, line 6: data.holdout: a count of at least 1, or a share between 0 and 1"
        )
        for p in found
    )
    assert any(p.startswith("FILE, line 9: ") and "rnak" in p for p in found)
    assert any(p.startswith("FILE, line 13: smoke.images: ") and "'none'" in p for p in found)
    assert len(found) == 5


def test_a_nested_unknown_key_names_its_nearest_sibling(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD.replace("path: base", "path: base\n  licence: mit")) == [
        "FILE, line 4: unknown key 'base.licence' (did you mean 'license'?)"
    ]


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    assert problems(tmp_path, GOOD + "name: InternVL2-Other\n") == [
        "FILE, line 12: 'name' is given twice (first on line 1)"
    ]


def test_an_unknown_plugin_or_scheme_is_named(tmp_path: Path) -> None:
    found = problems(
        tmp_path, GOOD.replace("train:", "train:\n  trainer: xtunr").replace("git:./", "gti:./")
    )
    assert any("line 8" in p and "no trainer 'xtunr'" in p for p in found)
    assert any("line 12" in p and "gti" in p for p in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "line 1"),
        ("- a\n- b\n", "mapping"),
        ("name: a\n\tb: c\n", "line 2"),
        ("a: &x\n  b: *x\n", "alias"),
    ],
)
def test_what_is_not_a_release_file_is_said_so(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        load(write(tmp_path, text))


def test_a_missing_or_binary_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load(tmp_path / "nothing.yaml")
    (tmp_path / "release.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8"):
        load(tmp_path / "release.yaml")


def test_overrides_replace_values_of_any_depth(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    spec = load(
        path,
        [
            "train.options.rank=4",
            "publish.0.to=git:/srv/InternVL2-X.git",
            "smoke.prompts=[a, b]",
            "tag=v2",
        ],
    )
    assert spec.train.options["rank"] == 4
    assert spec.publish[0].to == "git:/srv/InternVL2-X.git"
    assert spec.smoke.prompts == ("a", "b")
    assert spec.tag == "v2"


@pytest.mark.parametrize(
    "override",
    [
        "rank",
        "=3",
        "name.x=1",
        "publish.7.to=git:x",
        "publish.to=git:x",
        "tag=[",
        "publish.0.to.x=1",
    ],
)
def test_a_bad_override_is_a_usage_error(tmp_path: Path, override: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        load(write(tmp_path, GOOD), [override])


def test_the_starter_file_is_valid(tmp_path: Path) -> None:
    import hubkit

    path = hubkit.init(tmp_path / "release.yaml")
    assert load(path).name == "InternVL2-2B-Food"
    with pytest.raises(UsageError, match="exists"):
        hubkit.init(path)


def test_the_schema_knows_every_key() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Spec.model_fields)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("lockd", f"train.environment: {WHERE}, not 'lockd' (did you mean 'locked'?)"),
        ("3", f"train.environment: {WHERE}, not 3"),
        (
            '{locked: "CU 12"}',
            "train.environment.locked: a text of the form ^[a-z][a-z0-9]*$, not 'CU 12'",
        ),
        ("{pyton: x, python: y}", "unknown key 'train.environment.pyton' (did you mean 'python'?)"),
    ],
)
def test_a_wrong_environment_is_one_problem(tmp_path: Path, written: str, problem: str) -> None:
    text = GOOD.replace("  options:\n    rank: 8\n", f"  environment: {written}\n")
    assert problems(tmp_path, text) == [f"FILE, line 8: {problem}"]


def test_environments_and_deadlines_are_read(tmp_path: Path) -> None:
    text = GOOD.replace(
        "  options:\n    rank: 8\n",
        "  environment: {locked: cu12}\n  deadline: 12\nsmoke:\n  environment: locked\n",
    )
    spec = load(write(tmp_path, text))
    assert spec.train.environment == LockedEnvironment(locked="cu12")
    assert (spec.train.deadline, spec.smoke.deadline, spec.smoke.environment) == (
        12.0,
        None,
        "locked",
    )
    assert problems(tmp_path, text.replace("12\n", "0\n")) == [
        "FILE, line 9: train.deadline: a number above 0, not 0"
    ]


def test_what_is_wrong_with_a_variant_is_told_with_its_line(tmp_path: Path) -> None:
    text = GOOD + (
        "variants:\n  - {name: GGUF, exporter: ggfu}\n  - {name: gguf, options: {tpye: f16}}\n"
        "  - {name: a/b, ask: {engine: llama}}\n  - name: Q4\n    ask: {options: {thread: 1}}\n"
        "    publish: main\n"
    )
    found = "\n".join(problems(tmp_path, text))
    for told in (
        "line 13: there is no exporter 'ggfu' (did you mean 'gguf'?",
        "line 14: variants.1.options: unknown key 'tpye' (did you mean 'type'?",
        "line 15: variants.2.name: a text of the form ",
        "line 15: there is no engine 'llama'",
        "line 17: variants.3.ask.options: unknown key 'thread' (did you mean 'threads'?",
        "line 18: variants.3.publish: one of own, within, not 'main'",
    ):
        assert told in found, found
    within = GOOD + "variants:\n  - {name: Assets, publish: within}\n"
    assert "the release has a folder Assets of its own" in problems(tmp_path, within)[0]
    twice = GOOD + "variants:\n  - {name: GGUF}\n  - {name: gguf}\n"
    assert "two variants have one name" in problems(tmp_path, twice)[0]


def test_interpreters_of_a_variant_are_relative_to_the_file(tmp_path: Path) -> None:
    said = "variants:\n  - {name: GGUF, environment: ./a/python, ask: {environment: ./b/python}}\n"
    (variant,) = load(write(tmp_path, GOOD + said)).variants
    assert variant.environment.python == tmp_path / "a/python"  # type: ignore[union-attr]
    assert variant.ask.environment.python == tmp_path / "b/python"  # type: ignore[union-attr]
