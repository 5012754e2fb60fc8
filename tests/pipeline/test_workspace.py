"""The run folder: sealing, tampering, locking, dates."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hubkit.digests import FileDigests, sha256
from hubkit.errors import EnvironmentFailure, UsageError
from hubkit.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path, "InternVL2-X")
    made.folder.mkdir(parents=True)
    return made


def seal(workspace: Workspace, text: str = "hello"):
    partial = workspace.open("merge")
    (partial / "sub").mkdir()
    (partial / "sub" / "a.txt").write_text(text)
    return workspace.seal("merge", partial, {"seed": "0"}, {"count": 1}, 1.0)


def test_a_sealed_stage_is_read_back_as_written(workspace: Workspace) -> None:
    receipt = seal(workspace)
    assert workspace.seal_of("merge") == receipt
    assert receipt.outputs == {"sub/a.txt": sha256(workspace.stage("merge") / "sub/a.txt")}
    assert workspace.tampered(receipt) is None
    assert not list(workspace.folder.glob(".*.partial"))


def test_equal_outputs_have_equal_digests_whatever_the_inputs_and_time(
    workspace: Workspace, tmp_path: Path
) -> None:
    first = seal(workspace)
    assert seal(workspace).digest == first.digest
    assert seal(workspace, "other").digest != first.digest


def test_a_changed_or_missing_output_is_found(workspace: Workspace) -> None:
    receipt = seal(workspace)
    file = workspace.stage("merge") / "sub" / "a.txt"
    os.utime(file, (1, 1))
    assert workspace.tampered(receipt) is None
    file.write_text("HELLO")
    assert workspace.tampered(receipt) == "merge/sub/a.txt was changed"
    file.unlink()
    assert workspace.tampered(receipt) == "merge/sub/a.txt is gone"


def test_an_unfinished_stage_does_not_exist_and_is_cleaned_up(workspace: Workspace) -> None:
    partial = workspace.open("train")
    (partial / "half").write_text("x")
    assert workspace.seal_of("train") is None
    with workspace.lock():
        assert not partial.exists()


def test_temporary_files_lie_in_the_run_folder_and_a_killed_runs_are_swept(
    workspace: Workspace, tmp_path: Path
) -> None:
    before = tempfile.gettempdir()
    other = Workspace(tmp_path, "InternVL2-Y")
    left = workspace.folder / "tmp" / "hubkit-git-left"
    left.mkdir(parents=True)
    (workspace.folder / ".plan.json.x1.partial").write_text("half")
    with workspace.lock():
        assert not left.exists() and not (workspace.folder / ".plan.json.x1.partial").exists()
        assert Path(tempfile.mkdtemp()).parent == workspace.folder / "tmp"
        inner = other.lock()
        inner.__enter__()
    assert Path(tempfile.mkdtemp()).parent == other.folder / "tmp"
    inner.__exit__(None, None, None)
    assert tempfile.gettempdir() == before
    assert not (workspace.folder / "tmp").exists() and not (other.folder / "tmp").exists()


def test_a_second_run_is_refused_while_the_first_holds_the_lock(workspace: Workspace) -> None:
    code = (
        "import sys; from pathlib import Path; from hubkit.pipeline.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1]), 'InternVL2-X').lock():\n print('held', "
        "flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.folder.parent.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match="run already"), workspace.lock():
        pass
    holder.kill()
    holder.wait()
    with workspace.lock():
        pass


def test_a_workdir_that_cannot_be_written_is_an_environment_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFailure), Workspace(tmp_path / "file", "x").lock():
        pass


def test_the_date_is_fixed_when_first_planned(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert workspace.planned() == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert workspace.planned() == "2023-11-14T22:13:20Z"


def test_a_file_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"a" * 1000)
    digests = FileDigests(tmp_path / "cache.json")
    first = digests.sha256(file)
    digests.save()
    again = FileDigests(tmp_path / "cache.json")
    monkeypatch.setattr("hubkit.digests.sha256", lambda path: pytest.fail("hashed again"))
    assert again.sha256(file) == first
    monkeypatch.undo()
    file.write_bytes(b"b" * 1000)
    assert again.sha256(file) == sha256(file) != first


def test_digests_known_from_writing_are_not_computed_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial = workspace.open("merge")
    (partial / "model.safetensors").write_bytes(b"x")
    workspace.digests.remember(partial, {"model.safetensors": "f" * 64})
    monkeypatch.setattr("hubkit.digests.sha256", lambda path: pytest.fail("hashed"))
    assert workspace.seal("merge", partial, {}, {}, 0.0).outputs == {"model.safetensors": "f" * 64}
