"""Bad input to `hubkit release`: a clear message with the remedy, the designed exit code, nothing
half-written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.__main__ import run
from hubkit.errors import EnvironmentFailure, UsageError

PREPARE = ("--until", "prepare")


def release(spec: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the error that `hubkit release --json` ends with, in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        returned = run(["release", str(spec), "--json", *more])
    return returned, json.loads(out.getvalue().splitlines()[-1])


def refused(spec: Path, code: int, *words: str, more: tuple[str, ...] = ()) -> None:
    check_refused(spec, code, release(spec, *more), *words)


def check_refused(spec: Path, code: int, ended: tuple[int, dict[str, Any]], *words: str) -> None:
    returned, error = ended
    assert returned == code, error
    assert error["event"] == "error" and error["exit_code"] == code
    for word in words:
        assert word in error["message"] + error["remedy"], error
    assert error["remedy"]
    kept = ("lock", "plan.json", "digests.json", "data-report.html")
    left = [p for p in (spec.parent / ".hubkit").rglob("*") if p.is_file() and p.name not in kept]
    assert left == []
    assert not (spec.parent / "hub").exists()


def edit_records(project: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    path = project.parent / "data" / "digits.json"
    records = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(change(records) or records), "utf-8")


def edit_spec(project: Path, old: str, new: str) -> None:
    text = project.read_text("utf-8")
    assert old in text
    project.write_text(text.replace(old, new), "utf-8")


def test_a_name_without_internvl_is_refused_before_any_work(project: Path) -> None:
    edit_spec(project, "name: InternVL2-Tiny-Test", "name: Food-Model")
    refused(project, 3, "Food-Model", "InternVL")
    assert not (project.parent / ".hubkit").exists()


def test_a_target_without_internvl_is_refused_too(project: Path) -> None:
    edit_spec(project, "git:./hub/InternVL2-Tiny-Test.git", "git:./hub/Food.git")
    refused(project, 3, "Food", "InternVL")


def test_mistyped_keys_are_reported_together(project: Path) -> None:
    edit_spec(project, "smoke:", "smok:")
    edit_spec(project, "limit:", "limits:")
    refused(project, 2, "'smok'", "'smoke'", "'evaluate.limits'", "2 problems")


def test_a_missing_image(project: Path) -> None:
    (project.parent / "data" / "images" / "0003.png").unlink()
    (project.parent / "data" / "images" / "0005.png").write_bytes(b"not a picture")
    refused(
        project,
        2,
        "digits.json",
        "2 records",
        "0003.png",
        "no such file",
        "0005.png",
        "not an image",
        "data.images",
    )


def test_an_empty_dataset(project: Path) -> None:
    (project.parent / "data" / "digits.json").write_text("[]")
    refused(project, 2, "digits.json", "empty", more=PREPARE)


def test_a_record_without_the_image_mark(project: Path) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        records[2]["conversations"][0]["value"] = "Which digit is this?"

    edit_records(project, change)
    refused(project, 2, "digits.json", "record 2", "<image>", more=PREPARE)


def test_conversation_in_place_of_conversations(project: Path) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        records[1]["conversation"] = records[1].pop("conversations")

    edit_records(project, change)
    refused(project, 2, "record 1", "conversation", "conversations", more=PREPARE)


def test_nothing_left_to_train_on(project: Path) -> None:
    edit_spec(project, "holdout: 6", "holdout: 24")
    refused(project, 2, "24", "data.holdout", more=PREPARE)


def test_a_missing_base_and_a_missing_dataset(project: Path) -> None:
    edit_spec(project, "path: base", "path: bse")
    refused(project, 2, "base.path", "bse")


def test_all_missing_paths_are_named_at_once(project: Path) -> None:
    edit_spec(project, "path: base", "path: bse")
    edit_spec(project, "data/digits.json", "data/digit.json")
    edit_spec(project, "data/images", "data/imgs")
    refused(project, 2, "base.path", "bse", "data.path", "digit.json", "data.images", "imgs")
    with pytest.raises(UsageError, match=r"base\.path: .*\n.*data\.path: .*\n.*data\.images: "):
        hubkit.plan(project)


def test_two_equal_targets_are_refused_with_both_lines(project: Path) -> None:
    text = project.read_text("utf-8")
    target = "  - to: git:./hub/InternVL2-Tiny-Test.git\n"
    first = text.splitlines().index(target.rstrip()) + 1
    project.write_text(text + target, "utf-8")
    refused(
        project,
        2,
        f"line {first + 1}: publish.1.to is the target of line {first} again",
    )
    project.write_text(text, "utf-8")
    spec = hubkit.load_spec(project)
    twice = spec.model_copy(update={"publish": (*spec.publish, *spec.publish)})
    with pytest.raises(UsageError, match="named more than once: git:") as caught:
        hubkit.release(twice, workdir=project.parent)
    assert caught.value.remedy == "name each target once"


def test_a_folder_that_is_no_model(project: Path) -> None:
    (project.parent / "base" / "config.json").unlink()
    refused(project, 2, "config.json")


def test_truncated_weights(project: Path) -> None:
    weights = project.parent / "base" / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size - 1000)
    refused(project, 2, "model.safetensors", "truncated", "1000")


def test_a_missing_companion_file(project: Path) -> None:
    (project.parent / "base" / "modeling_internvl_chat.py").unlink()
    refused(project, 2, "modeling_internvl_chat.py")


def test_no_licence_anywhere(project: Path) -> None:
    (project.parent / "base" / "README.md").unlink()
    refused(project, 2, "base.license")


def test_no_git_lfs(project: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("git", "sh", "env"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    without = {"PATH": str(tools), "GIT_EXEC_PATH": _git_without_lfs(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "release", str(project), "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **without},
        check=False,
    )
    ended = done.returncode, json.loads(done.stdout.splitlines()[-1])
    check_refused(project, 4, ended, "git-lfs" if shutil.which("git-lfs") else "LFS", "install")


def _git_without_lfs(tmp_path: Path) -> str:
    """git looks for git-lfs among its own programs as well."""
    own = Path(
        subprocess.run(
            ["git", "--exec-path"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    folder = tmp_path / "git-core"
    folder.mkdir()
    for program in own.iterdir():
        if program.name != "git-lfs":
            (folder / program.name).symlink_to(program)
    return str(folder)


def test_a_target_that_cannot_be_written(project: Path) -> None:
    (project.parent / "file").write_text("in the way")
    edit_spec(project, "git:./hub/", "git:./file/")
    returned, error = release(project)
    assert returned == 4 and "file" in error["message"], error


def test_an_option_of_a_plugin_that_does_not_exist(project: Path) -> None:
    edit_spec(project, "rank: 4", "rnak: 4")
    refused(project, 2, "rnak", "rank")


def test_not_enough_disk_is_known_before_starting(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil.disk_usage(project)._replace(free=1_000_000)
    monkeypatch.setattr("hubkit.pipeline.requirements.shutil.disk_usage", lambda path: nearly_full)
    with pytest.raises(
        EnvironmentFailure, match=r"needs about 0\.1 GB in .*, and 0\.0 GB are free"
    ) as caught:
        hubkit.release(project)
    assert "--workdir" in caught.value.remedy
    assert not (project.parent / ".hubkit" / "InternVL2-Tiny-Test" / "prepare").exists()


def test_an_unknown_stage(project: Path) -> None:
    refused(project, 2, "there is no stage 'trian'", "train", more=("--from", "trian"))


def test_a_secret_and_an_address_in_the_card(project: Path) -> None:
    token = "hf_" + "aB3" * 12
    text = project.read_text("utf-8")
    card = f"\nauthor: {{name: Ada, email: ada@engines.org}}\ncard: {{title: {token}, summary: ask "
    project.write_text(f"{text}{card}ada@engines.org or bob@engines.org}}\n", "utf-8")
    returned, error = release(project)
    assert returned == 2 and token not in str(error)
    assert "card.title: looks like a Hugging Face token" in error["message"]
    assert "card.summary: an e-mail address" in error["message"]
    project.write_text(f"{text}{card.replace(token, 'Digits')}ada@engines.org}}\n", "utf-8")
    assert release(project, "--dry-run")[0] == 0
