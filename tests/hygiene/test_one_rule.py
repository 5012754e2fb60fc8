"""What `hubkit check` finds sound can be tracked, and nothing else can."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hubkit
from hubkit.api.folders import Author

BASE = Path(hubkit.__file__).parent / "quickstart/base"
CACHE = shutil.ignore_patterns("__pycache__")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"

FOLDERS = st.sampled_from(["", "", "examples/", "adapter/", ".cache/", ".eval_results/", "a/b/"])
NAMES = st.sampled_from(
    [
        *("notes", "iter_64", "README", ".env", ".hidden", ".gitattributes", "id_rsa", "a b"),
        *("model", "adapter_model", "adapter_config", "tokenizer", "vocab", "généré", "a\tb"),
    ]
)
SUFFIXES = st.sampled_from(
    ["", ".txt", ".json", ".md", ".yaml", ".py", ".safetensors", ".pth", ".PKL", ".bin", ".so"]
)
CONTENTS = st.one_of(
    st.sampled_from(
        [
            *(b"", b"{}", b"text", b"{", b"\x7fELF\x02", pickle.dumps([1]), POINTER.encode()),
            *(b'{"a": "/home/ada/x"}', b"at /srv/models/x", b"see ada@engines.org"),
            *(b'{"vocab_file": ".env"}', b"x" * 8, b"hf_" + b"aB3" * 12, b"http://gpu07:80/"),
        ]
    ),
    st.binary(max_size=64),
    st.text(max_size=64).map(lambda text: text.encode(errors="replace")),
)
KINDS = st.sampled_from(["file"] * 8 + ["link", "executable"])


def verdicts(folder: Path) -> tuple[list[str], bool]:
    """What check finds, and whether track takes the folder."""
    problems = [f"{p.where}: {p.message} ({p.remedy})" for p in hubkit.check(folder)]
    assert len(problems) == len(set(problems))
    try:
        hubkit.track(folder)
    except hubkit.errors.RefusedError as error:
        assert error.message.splitlines()[1:] == [f"  {problem}" for problem in problems]
        assert not (folder / ".git").exists() and not (folder / "manifest.json").exists()
        return problems, False
    return problems, True


@settings(max_examples=20, deadline=None, derandomize=True)
@given(FOLDERS, NAMES, SUFFIXES, CONTENTS, KINDS)
def test_check_and_track_give_the_same_verdict(
    tmp_path_factory: pytest.TempPathFactory,
    place: str,
    name: str,
    suffix: str,
    content: bytes,
    kind: str,
) -> None:
    folder = tmp_path_factory.mktemp("stray") / "InternVL2-Tiny"
    shutil.copytree(
        BASE, folder, ignore=shutil.ignore_patterns("__pycache__"), copy_function=os.link
    )
    path = folder / place / (name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to("config.json")
    else:
        path.write_bytes(content)
        path.chmod(0o755 if kind == "executable" else 0o644)
    problems, taken = verdicts(folder)
    assert taken == (not problems)
    shutil.rmtree(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BASE, tmp_path / "InternVL2-Tiny", ignore=CACHE))


STRAYS: dict[str, Callable[[Path], object]] = {
    "x.pth": lambda path: path.write_bytes(b""),
    "notes.txt": lambda path: path.write_bytes(pickle.dumps([1])),
    ".gitignore": lambda path: path.write_text("x"),
    "link": lambda path: path.symlink_to("config.json"),
    "other.safetensors": lambda path: path.write_bytes(b"x" * 100),
    "tokenizer.model": lambda path: path.write_text(POINTER),
    "generation_config.json": lambda path: path.write_text("{"),
}


@pytest.mark.parametrize("name", STRAYS)
def test_one_fault_is_told_once(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    STRAYS[name](folder / name)
    problems, taken = verdicts(folder)
    assert not taken
    assert [problem.partition(":")[0] for problem in problems] == [name]


@pytest.mark.parametrize("path", sorted(p.name for p in BASE.iterdir() if p.is_file()))
def test_a_pointer_in_place_of_any_file_of_a_base(folder: Path, path: str, tmp_path: Path) -> None:
    (folder / path).write_text(POINTER)
    message = f"{path} is a Git LFS pointer"
    if path == "config.json":
        with pytest.raises(hubkit.errors.UsageError, match=message) as caught:
            hubkit.check(folder)
    else:
        assert [problem.where for problem in hubkit.check(folder)] == [path]
        with pytest.raises(hubkit.errors.UsageError, match=message) as caught:
            hubkit.merge(folder, tmp_path / "adapter", tmp_path / "out")
    assert "git lfs pull" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_declared_author(folder: Path) -> None:
    (folder / "NOTES.md").write_text("by ada@engines.org\n")
    assert [p.where for p in hubkit.check(folder)] == ["NOTES.md:1"]
    assert hubkit.check(folder, author_email="ada@engines.org") == ()
    hubkit.track(folder, author=Author(name="Ada", email="ada@engines.org"))


def test_a_snapshot_of_a_cache_is_sound_and_tracked_as_a_copy(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--org--InternVL2-Tiny"
    snapshot = repository / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    folder.rename(repository / "blobs")
    for blob in (repository / "blobs").iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    assert hubkit.check(snapshot) == ()
    with pytest.raises(hubkit.errors.RefusedError, match="a snapshot in a") as caught:
        hubkit.track(snapshot, name="InternVL2-Tiny")
    assert {path.is_symlink() for path in snapshot.iterdir()} == {True}
    command = caught.value.remedy.partition("`")[2].rstrip("`")
    assert os.system(f"cd {tmp_path} && {command}") == 0
    hubkit.track(tmp_path / "InternVL2-Tiny")
