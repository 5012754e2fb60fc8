"""One real release, from pictures to a verified clone, and what is run again after a change."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from testing.projects import NAME

import hubkit
from hubkit.errors import RefusedError, RemoteError, UsageError
from hubkit.packaging import manifest
from hubkit.pipeline.run import NAMES

# shares one release with the other tests of this folder
pytestmark = pytest.mark.xdist_group("released")


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=cwd, capture_output=True, text=True, check=True
    ).stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_stage_ran_in_order(released: tuple[Path, hubkit.ReleaseResult]) -> None:
    result = released[1]
    assert tuple(stage.stage for stage in result.stages) == NAMES
    assert not any(stage.cached for stage in result.stages)
    assert result.evaluation is not None and result.evaluation.count == 4
    assert result.verified[0].deep and len(result.verified[0].transcript[0].answers) == 2


def test_the_release_folder_is_a_clean_git_repository_with_lfs(
    released: tuple[Path, hubkit.ReleaseResult],
) -> None:
    folder = released[1].folder
    assert folder is not None and folder.name == NAME
    assert git("status", "--porcelain", cwd=folder) == ""
    assert git("rev-parse", "HEAD", cwd=folder).strip() == released[1].commit
    assert "OK" in git("lfs", "fsck", cwd=folder)
    assert git("lfs", "ls-files", "--name-only", cwd=folder).split() == ["model.safetensors"]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert {f["path"] for f in manifest["files"]} == set(git("ls-files", cwd=folder).split()) - {
        "manifest.json"
    }
    assert hubkit.check(folder) == ()


def test_a_plain_clone_has_the_manifests_digests(
    released: tuple[Path, hubkit.ReleaseResult], tmp_path: Path
) -> None:
    remote = released[0].parent / "hub" / f"{NAME}.git"
    git("clone", "-q", str(remote), "X", cwd=tmp_path)
    git("lfs", "pull", cwd=tmp_path / "X")
    manifest = json.loads((tmp_path / "X" / "manifest.json").read_text("utf-8"))
    assert {f["path"]: f["sha256"] for f in manifest["files"]} == {
        f["path"]: sha256(tmp_path / "X" / f["path"]) for f in manifest["files"]
    }
    assert hubkit.check(tmp_path / "X") == ()


def test_nothing_local_is_published(released: tuple[Path, hubkit.ReleaseResult]) -> None:
    folder = released[1].folder
    assert folder is not None
    for path in folder.iterdir():
        if path.is_file():
            assert str(released[0].parent).encode() not in path.read_bytes(), path.name


def test_the_card_tells_what_was_measured(released: tuple[Path, hubkit.ReleaseResult]) -> None:
    from huggingface_hub import ModelCard

    result = released[1]
    assert result.folder is not None and result.evaluation is not None
    data = ModelCard.load(result.folder / "README.md").data
    assert (data.license, data.base_model, data.pipeline_tag) == (
        "apache-2.0",
        "hubkit/InternVL2-Tiny",
        "image-text-to-text",
    )
    assert data.eval_results[0].metric_value == pytest.approx(
        result.evaluation.score, abs=1e-4
    ) or data.eval_results[0].metric_value == pytest.approx(100 * result.evaluation.score, abs=1e-2)
    assert (result.folder / "README.zh-CN.md").exists()


def test_a_second_run_finds_everything_done(released: tuple[Path, hubkit.ReleaseResult]) -> None:
    spec, result = released
    assert {p.state for p in hubkit.plan(spec)} == {"cached"}
    again = hubkit.release(spec)
    assert all(stage.cached for stage in again.stages)
    assert again.commit == result.commit


def test_a_plan_says_why(released: tuple[Path, hubkit.ReleaseResult]) -> None:
    spec = released[0]
    plans = {p.stage: p for p in hubkit.plan(spec, overrides=["train.options.rank=2"])}
    assert (plans["prepare"].state, plans["train"].state, plans["merge"].state) == (
        "cached",
        "run",
        "depends",
    )
    assert plans["train"].reasons == ("options.rank: 4 -> 2",)
    assert plans["merge"].reasons == ("on what train gives",)
    forced = {p.stage: p.state for p in hubkit.plan(spec, from_="verify")}
    assert forced["publish"] == "cached" and forced["verify"] == "run"
    card = {p.stage: p for p in hubkit.plan(spec, overrides=["card.summary=New words"])}
    assert card["evaluate"].state == "cached" and card["package"].state == "run"


def test_verify_finds_what_differs(
    released: tuple[Path, hubkit.ReleaseResult], tmp_path: Path
) -> None:
    spec, result = released
    assert result.folder is not None
    remote = tmp_path / "copy.git"
    git(
        "clone",
        "-q",
        "--mirror",
        str(spec.parent / "hub" / f"{NAME}.git"),
        str(remote),
        cwd=tmp_path,
    )
    with pytest.raises(RemoteError, match=r"model\.safetensors"):
        hubkit.verify(result.folder, f"git:{remote}")


def test_a_target_is_pushed_to_once(
    released: tuple[Path, hubkit.ReleaseResult], tmp_path: Path
) -> None:
    folder, to = released[1].folder, f"git:{tmp_path}/{NAME}.git"
    assert folder is not None
    with pytest.raises(UsageError, match="named more than once"):
        hubkit.push(folder, [to, to])
    assert not (tmp_path / f"{NAME}.git").exists()


def test_provenance_lists_what_made_the_release_and_no_strays(
    released: tuple[Path, hubkit.ReleaseResult],
) -> None:
    folder = released[1].folder
    assert folder is not None
    text = (folder / "provenance.json").read_text("utf-8")
    found = json.loads(text)
    base = released[0].parent / "base"
    carried = {path.name for path in (folder.parents[1] / "merge" / NAME).iterdir()}
    assert set(found["base"]) == carried
    assert found["base"]["model.safetensors"] == sha256(base / "model.safetensors")
    for stray in (".env", "secret_notes.txt", "runs/events.txt"):
        assert Path(stray).name not in text and sha256(base / stray) not in text
    assert set(found["adapter"]) == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
    }
    assert not {"author", "publish", "upload", "verify"} & set(found["settings"])


def test_a_repository_with_another_release_is_refused(
    released: tuple[Path, hubkit.ReleaseResult], tmp_path: Path
) -> None:
    folder = released[1].folder
    assert folder is not None
    remote, work = tmp_path / f"{NAME}.git", tmp_path / "work"
    git("init", "-q", "--bare", "-b", "main", str(remote), cwd=tmp_path)
    git("clone", "-q", str(remote), str(work), cwd=tmp_path)
    (work / "model.py").write_text("# somebody else's work")
    git("add", "model.py", cwd=work)
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "other", cwd=work)
    git("push", "-q", "origin", "HEAD:main", cwd=work)
    before = git("for-each-ref", cwd=remote)
    with pytest.raises(RefusedError):
        hubkit.push(folder, f"git:{remote}")
    assert git("for-each-ref", cwd=remote) == before


def test_a_release_file_changed_after_staging_is_not_pushed(
    tmp_path: Path, released: tuple[Path, hubkit.ReleaseResult]
) -> None:
    """The verbs on folders: track, change a file in place, push."""
    folder = tmp_path / "InternVL2-Own"
    source = released[0].parent / ".hubkit" / NAME / "merge" / NAME
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    hubkit.card(folder, base_name="hubkit/InternVL2-Tiny", license="apache-2.0")
    packaged = hubkit.track(folder)
    assert packaged.name == "InternVL2-Own" and packaged.in_lfs == 1
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(RefusedError, match=r"model\.safetensors"):
        hubkit.push(folder, f"git:{tmp_path}/InternVL2-Own.git")
    assert not (tmp_path / "InternVL2-Own.git").exists()


def test_a_withdrawn_release_is_published_and_verified_again(
    released: tuple[Path, hubkit.ReleaseResult], tmp_path: Path
) -> None:
    """With another target, so that the release of the other tests stays as it is."""
    project = tmp_path / "project"
    shutil.copytree(released[0].parent, project, symlinks=True)
    spec, to = project / released[0].name, f"git:{tmp_path}/{NAME}.git"
    overrides = [f"publish.0.to={to}", "verify.deep=false"]
    folder = hubkit.release(spec, overrides=overrides).folder
    assert folder is not None
    assert {one.state for one in hubkit.plan(spec, overrides=overrides)} == {"cached"}
    hubkit.withdraw(folder, to)
    planned = {one.stage: one for one in hubkit.plan(spec, overrides=overrides)}
    assert planned["publish"].reasons == (f"withdrawal from {to} is new",)
    assert planned["verify"].state == "depends" and planned["package"].state == "cached"
    again = hubkit.release(spec, overrides=overrides)
    assert [one.stage for one in again.stages if not one.cached] == ["publish", "verify"]
    assert "v1.0.0" in git("tag", cwd=tmp_path / f"{NAME}.git")
    assert {one.state for one in hubkit.plan(spec, overrides=overrides)} == {"cached"}


def test_a_push_of_the_package_is_withdrawn_from_it(
    tmp_path: Path, released: tuple[Path, hubkit.ReleaseResult]
) -> None:
    """The stage's own push and this one are in one journal, outside the package."""
    folder, to = released[1].folder, f"git:{tmp_path}/{NAME}.git"
    assert folder is not None
    hubkit.push(folder, to)
    assert hubkit.verify(folder, to).files == len(manifest.read(folder).files) + 1
    journal = released[0].parent / ".hubkit" / NAME / "journal"
    assert len(list(journal.glob("git_lfs-*.jsonl"))) == 2
    assert hubkit.withdraw(folder, to).done == ("the tag v1.0.0 is deleted",)
