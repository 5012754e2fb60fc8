"""Discovery, checking and choice of plugins, with real distributions on the path."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from testing.small_plugins import Install, dataset

from hubkit.registry.entries import GROUP, GROUPS, installed
from hubkit.registry.entry_points import EntryPoint
from hubkit.registry.plugins import Plugins, plugins
from hubkit.sdk import PluginError, UsageError
from hubkit.sdk.install import DISTRIBUTION

HUB = """
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Options:
        retries: int = 3

    class {name}:
        kind, name, sdk, schemes, Options = "hub", "{plugin}", "1.0", {schemes}, Options
        def repository(self, target): return target
        def check(self, target, options): return ()
        def login(self, options): ...
        def withdraw(self, target, receipt, options, run): ...
        def publish(self, job, run): ...
        def files(self, target, revision, options, run): ...
        def download(self, target, revision, out, options, run): ...
"""


FAMILY = """
    class {name}:
        kind, name, sdk = "family", "{plugin}", "1.0"
        def recognises(self, config): return {recognises}
        def describe(self, config): ...
        def layout(self, config): ...
        def native(self, config, tokens=None): ...
        def vision(self, config, preprocessor): ...
        def companions(self, config): ...
        def check(self, folder, config): ...
        def repository_problem(self, repository): ...
        def card(self, config): ...
"""


OWN = GROUPS["dataset"]


def hub(plugin: str, schemes: str = '("one",)') -> tuple[str, str]:
    return HUB.format(name="Hub", plugin=plugin, schemes=schemes), "Hub"


def family(plugin: str, recognises: str) -> tuple[str, str]:
    return FAMILY.format(name="Family", plugin=plugin, recognises=recognises), "Family"


def test_a_good_plugin_is_listed_and_given(install: Install) -> None:
    found = install(good=dataset())
    (row,) = found.rows()
    assert (row.kind, row.name, row.version, row.distribution, row.sdk, row.state) == (
        "dataset",
        "data",
        "0.5",
        "good-dist",
        "1.0",
        "ok",
    )
    assert found.get("dataset", "data").name == "data"
    assert list(found.of("dataset")) == ["data"]
    assert found.of("hub") == {}
    assert found.broken == ()


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (
            ("import no_such_module_at_all", "Data"),
            "does not load: ModuleNotFoundError: No module named 'no_such_module_at_all'",
        ),
        (("x = 1", "Data"), "does not load: AttributeError"),
        (("raise RuntimeError('on import')", "Data"), "does not load: RuntimeError: on import"),
        (("def f(:", "Data"), "does not load: SyntaxError"),
        (("Data = {}", "Data"), "{} is not a class"),
        (
            dataset(kind="datasets"),
            "`kind` is 'datasets', it must be one of family, dataset, trainer, engine, exporter, "
            "metric, hub",
        ),
        (dataset(plugin="Upper Case"), "`name` is 'Upper Case'"),
        (dataset(sdk="2.0"), "it was written for SDK 2.0, this hubkit has 1.5: upgrade hubkit"),
        (dataset(sdk="1.6"), "it was written for SDK 1.6, this hubkit has 1.5: upgrade hubkit"),
        (
            dataset(sdk="0.9"),
            "it was written for SDK 0.9, this hubkit has 1.5: install a newer version of "
            "the plugin",
        ),
        (dataset(sdk="one"), "`sdk` is 'one', it must be the SDK version it was written for"),
        (dataset(Options="dict"), "`Options` must be a dataclass"),
        (dataset(Options="Options()"), "`Options` must be a dataclass"),
        (dataset(options="rank: int"), "`Options` must have a default for rank"),
        (dataset(extra=""), "method `records` must take (self, source: 'Path', options"),
        (
            dataset(kind="engine"),
            "`requirements` must be a Requirements; method `generate` is missing",
        ),
        (hub("h", "()"), "`schemes` is ()"),
        (hub("h", "'git'"), "`schemes` is 'git'"),
    ],
)
def test_a_broken_plugin_is_told_with_its_reason_and_hinders_no_other(
    install: Install, plugin: tuple[str, str], reason: str
) -> None:
    found = install(bad=plugin, good=hub("fine"))
    assert found.get("hub", "fine").repository("x") == "x"
    (broken,) = found.broken
    assert broken.state.startswith("broken: ")
    assert reason in broken.state
    assert broken.distribution == "bad-dist"
    assert len(found.rows()) == 2


def test_a_broken_plugin_that_is_asked_for_says_why(install: Install) -> None:
    found = install(bad=("import no_such_module_at_all", "Data"))
    with pytest.raises(
        PluginError, match=r"the dataset 'bad' of bad-dist is broken: .*no_such_module_at_all"
    ):
        found.get("dataset", "bad")


def test_a_plugin_that_is_not_there_gets_a_suggestion(install: Install) -> None:
    found = install(one=dataset(plugin="llava_json"), two=dataset(plugin="foodieqa"))
    with pytest.raises(UsageError, match="there is no dataset 'lava_json'") as caught:
        found.get("dataset", "lava_json")
    assert caught.value.remedy.startswith(
        "did you mean 'llava_json'? installed: foodieqa, llava_json"
    )
    with pytest.raises(UsageError) as caught:
        found.get("trainer", "zzz")
    assert caught.value.remedy.startswith("installed: no trainer at all")
    with pytest.raises(UsageError, match="no kind of plugin 'hubs'"):
        found.get("hubs", "x")


def test_two_plugins_of_one_name_are_both_unusable(install: Install) -> None:
    found = install(one=dataset(), two=dataset(), three=dataset(plugin="third"))
    assert list(found.of("dataset")) == ["third"]
    assert [row.distribution for row in found.broken] == ["one-dist", "two-dist"]
    assert all("both claim the name 'dataset data'" in row.state for row in found.broken)
    with pytest.raises(PluginError, match="both claim the name"):
        found.get("dataset", "data")


def test_two_hubs_of_one_scheme_are_both_unusable(install: Install) -> None:
    found = install(
        one=hub("a", '("git", "a")'), two=hub("b", '("b", "git")'), three=hub("c", '("c",)')
    )
    assert list(found.of("hub")) == ["c"]
    assert all("both claim the scheme 'git'" in row.state for row in found.broken)


def test_one_class_that_two_distributions_offer_is_one_plugin(
    install: Install, tmp_path: Path
) -> None:
    install(good=dataset())
    (entry,) = installed([str(tmp_path)])
    found = Plugins(
        [entry, EntryPoint("good", entry.value, GROUP), EntryPoint("data", entry.value, OWN)]
    )
    assert len(found.rows()) == 1
    assert found.broken == ()


def test_a_destination_names_its_hub(install: Install) -> None:
    found = install(one=hub("lfs", '("git", "git+ssh")'), two=hub("other", '("hf",)'))
    plugin, target = found.hub_of("git:file:///srv/repo.git")
    assert (plugin.name, target) == ("lfs", "file:///srv/repo.git")
    for wrong in ("https://x/y", "git", "git:", "", ":x"):
        with pytest.raises(UsageError, match="not a destination") as caught:
            found.hub_of(wrong)
        assert caught.value.remedy == "write one of: git:TARGET, git+ssh:TARGET, hf:TARGET"


def test_the_family_of_a_config_is_the_only_one_that_recognises_it(install: Install) -> None:
    found = install(
        a=family("a", 'config.get("x") in (1, 3)'),
        b=family("b", 'config.get("x") in (2, 3)'),
        c=family("c", 'config["c"]'),
    )
    assert found.family_of({"x": 1}).name == "a"
    assert found.family_of({"x": 2}).name == "b"
    with pytest.raises(UsageError, match="several families: a, b"):
        found.family_of({"x": 3})
    with pytest.raises(
        UsageError,
        match=r"architectures \['Q'\]; families installed: a, b, c; c failed on it \(KeyError",
    ):
        found.family_of({"architectures": ["Q"]})


def test_a_plugin_in_the_group_of_its_kind_is_imported_when_its_kind_is_asked_for(
    install: Install, tmp_path: Path
) -> None:
    found = install(group=OWN, data=dataset())
    (module,) = [entry.module for entry in installed([str(tmp_path)])]
    assert found.of("hub") == {} and module not in sys.modules
    assert list(found.of("dataset")) == ["data"] and module in sys.modules
    assert [(row.kind, row.state) for row in found.rows()] == [("dataset", "ok")]


def test_a_plugin_that_is_asked_for_by_name_is_imported_alone(install: Install) -> None:
    found = install(group=OWN, data=dataset(), other=("import no_such_module_at_all", "Data"))
    assert found.get("dataset", "data").name == "data"
    assert [entry.name for entry in found._loaded] == ["data"]


def test_a_plugin_in_the_group_of_its_kind_is_called_as_its_entry_point(install: Install) -> None:
    found = install(group=OWN, own=dataset())
    with pytest.raises(PluginError, match="is called 'own': give both one name"):
        found.get("dataset", "data")


def test_the_first_of_two_distributions_of_one_name_counts(tmp_path: Path) -> None:
    for folder, info in (("one", "my_own-2.0.dist-info"), ("two", "My.Own.egg-info")):
        (tmp_path / folder / info).mkdir(parents=True)
        (tmp_path / folder / info / "entry_points.txt").write_text(
            f"# {folder}\n[console_scripts]\nx = y:z\n[{OWN}]\n a = {folder}.b:C.D [extra]\n\n"
        )
    gone = str(tmp_path / "gone")
    found = installed([gone, str(tmp_path / "two"), str(tmp_path / "one")])
    assert [(one.name, one.value, one.group, one.project) for one in found] == [
        ("a", "two.b:C.D", OWN, "my-own")
    ]


def test_entry_points_are_those_that_importlib_finds() -> None:
    found = [(one.name, one.value, one.group) for one in installed()]
    assert sorted(found) == sorted(
        (one.name, one.value, one.group)
        for group in (GROUP, *GROUPS.values())
        for one in metadata.entry_points(group=group)
    )


def test_a_broken_one_there_is_told_by_its_kind(install: Install) -> None:
    found = install(group=OWN, bad=("import no_such_module_at_all", "Data"))
    assert [(row.kind, row.name) for row in found.broken] == [("dataset", "bad")]
    with pytest.raises(PluginError, match=r"the dataset 'bad' of bad-dist is broken"):
        found.get("dataset", "bad")
    with pytest.raises(UsageError, match="there is no hub 'bad'"):
        found.get("hub", "bad")


def test_a_plugin_in_the_group_of_another_kind_is_broken(install: Install) -> None:
    found = install(group=GROUPS["hub"], stray=dataset(), fine=hub("fine"))
    assert list(found.of("hub")) == ["fine"] and found.of("dataset") == {}
    (row,) = found.broken
    assert row.state == (
        "broken: its `kind` is 'dataset' and its entry point in the group 'hubkit.hub': move it to "
        "'hubkit.dataset'"
    )
    with pytest.raises(PluginError, match=r"move it to 'hubkit\.dataset'"):
        found.get("dataset", "data")


def test_one_of_each_kind_of_group_clash(install: Install) -> None:
    install(old=dataset())
    found = install(group=OWN, data=dataset())
    assert found.of("dataset") == {}
    assert [row.distribution for row in found.broken] == ["data-dist", "old-dist"]
    assert all("both claim the name 'dataset data'" in row.state for row in found.broken)


def _fallback(plugin: tuple[str, str]) -> tuple[str, str]:
    return plugin[0].replace("kind,", "fallback, kind,").replace("= ", "= True, ", 1), plugin[1]


def test_a_fallback_takes_what_no_other_family_knows(install: Install) -> None:
    found = install(
        a=family("a", 'config.get("x") == 1'),
        b=_fallback(family("b", "True")),
    )
    assert found.family_of({"x": 1}).name == "a"
    assert found.family_of({"x": 2}).name == "b"


def test_the_bundled_plugins_are_installed_through_the_same_door() -> None:
    assert plugins() is plugins()
    assert plugins().get("dataset", "llava_json").sdk == "1.1"
    bundled = {
        (row.kind, row.name, row.state)
        for row in plugins().rows()
        if row.distribution == DISTRIBUTION
    }
    assert bundled == {
        ("dataset", "foodieqa", "ok"),
        ("dataset", "hf_datasets", "ok"),
        ("dataset", "llava_json", "ok"),
        ("dataset", "sharegpt", "ok"),
        ("engine", "llama_cpp", "ok"),
        ("engine", "lmdeploy", "ok"),
        ("engine", "openai", "ok"),
        ("engine", "transformers", "ok"),
        ("exporter", "compressed", "ok"),
        ("exporter", "gguf", "ok"),
        ("family", "blip2", "ok"),
        ("family", "instructblip", "ok"),
        ("family", "internvl", "ok"),
        ("family", "internvl_hf", "ok"),
        ("family", "llava", "ok"),
        ("family", "llava_next", "ok"),
        ("family", "minigpt4", "ok"),
        ("family", "nextgpt", "ok"),
        ("family", "llava_onevision", "ok"),
        ("family", "qwen3_vl", "ok"),
        ("family", "qwen_vl", "ok"),
        ("family", "transformers_models", "ok"),
        ("hub", "git_lfs", "ok"),
        ("metric", "anls", "ok"),
        ("metric", "contains", "ok"),
        ("metric", "exact_match", "ok"),
        ("metric", "multiple_choice", "ok"),
        ("hub", "huggingface", "ok"),
        ("hub", "modelscope", "ok"),
        ("trainer", "nextgpt_stages", "ok"),
        ("trainer", "peft", "ok"),
        ("trainer", "xtuner", "ok"),
    }


def test_listing_plugins_loads_no_heavy_package() -> None:
    code = "import sys, hubkit.registry.plugins as r; r.plugins().rows(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert {
        "torch",
        "transformers",
        "peft",
        "git",
        "huggingface_hub",
        "matplotlib",
        "numpy",
        "pydantic",
    } & set(loaded) == set()
