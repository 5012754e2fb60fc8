"""Every plugin that comes with hubkit is driven through its life by its own case, or says why it
cannot be here."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import hubkit
from hubkit.registry.plugins import plugins
from hubkit.sdk.install import DISTRIBUTION

ROOT = Path(__file__).parents[2]
QUICK = {
    *("anls", "contains", "exact_match", "multiple_choice"),
    *("internvl", "internvl_hf", "llava", "llava_next", "llava_onevision"),
    *("blip2", "instructblip", "minigpt4", "qwen3_vl", "qwen_vl"),
    *("foodieqa", "hf_datasets", "llava_json", "sharegpt"),
}
SLOW = {
    "gguf",
    "git_lfs",
    "huggingface",
    "modelscope",
    "peft",
    "transformers",
    "transformers_models",
}
ELSEWHERE = {
    *("compressed", "llama_cpp", "lmdeploy", "xtuner", "nextgpt", "nextgpt_stages", "openai"),
}
"""They need an environment of their own, a server, or models that are not in the repository."""
PARTS = {"options": "this kind has no options", "sdk only": "it is a part of hubkit itself"}
WORKER = {"life", "worker", "cancellation", "environment", "serving"}


def test_every_bundled_plugin_is_here() -> None:
    assert {
        row.name for row in plugins().rows() if row.distribution == DISTRIBUTION
    } == QUICK | SLOW | ELSEWHERE


@pytest.mark.parametrize(
    "name",
    [*sorted(QUICK), *(pytest.param(name, marks=pytest.mark.integration) for name in sorted(SLOW))],
)
def test_its_life(name: str) -> None:
    report = hubkit.check_plugin(name)
    assert report.ok, report
    skipped = {step.name: step.message for step in report.steps if step.state == "skipped"}
    assert skipped == {step: PARTS[step] for step in skipped}
    assert all(step.message for step in report.steps)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_cannot_be_driven_here_says_why(name: str) -> None:
    report = hubkit.check_plugin(name)
    assert report.ok, report
    skipped = {step.name: step.message for step in report.steps if step.state == "skipped"}
    assert {"life"} <= set(skipped) <= {*WORKER, *PARTS} and all(skipped.values())
    if name in ("lmdeploy", "xtuner"):
        assert skipped["environment"].startswith(
            f"needs its environment: `hubkit env build {name}`, then `hubkit plugins check "
            f"{name} --environment locked`\n"
        )


@pytest.mark.parametrize(
    "path",
    sorted(ROOT.glob("plugins/*/hubkit_*/conformance.py")),
    ids=lambda path: path.parent.name,
)
def test_a_case_needs_the_sdk_and_the_plugin_only(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "hubkit", path.parent.name}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module)]
        for name in names:
            assert name.partition(".")[0] in allowed, name
            assert name.partition(".")[0] != "hubkit" or name.startswith("hubkit.sdk"), name
