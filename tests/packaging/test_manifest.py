import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.files.tree import path_problem
from hubkit.packaging.lfs_threshold import LFS_BYTES, uses_lfs
from hubkit.packaging.manifest import Manifest, build, read, utc_seconds, write_gitattributes
from hubkit.sdk import RefusedError, ReleaseFile, UsageError


def built(folder: Path, **digests: str) -> Manifest:
    return build(folder, name="InternVL2-Tiny", tag="v1", created="2026-01-02", digests=digests)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, data in {
        "README.md": b"hi\n",
        "sub/b.txt": b"b",
        "model.safetensors": b"weights",
        ".git/HEAD": b"x",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def test_lists_every_file_sorted_with_digests_and_lfs(folder: Path) -> None:
    (folder / "manifest.json").write_text("old")
    assert built(folder).files == (
        ReleaseFile("README.md", 3, hashlib.sha256(b"hi\n").hexdigest(), False),
        ReleaseFile("model.safetensors", 7, hashlib.sha256(b"weights").hexdigest(), True),
        ReleaseFile("sub/b.txt", 1, hashlib.sha256(b"b").hexdigest(), False),
    )


def test_known_digests_are_used_and_the_file_is_not_read(folder: Path) -> None:
    known = "ab" * 32
    files = {
        file.path: file.sha256
        for file in build(
            folder, name="n", tag="t", created="2026-01-02", digests={"model.safetensors": known}
        ).files
    }
    assert files["model.safetensors"] == known
    assert files["README.md"] == hashlib.sha256(b"hi\n").hexdigest()


def test_wrong_digests_are_all_named(folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        build(
            folder,
            name="n",
            tag="t",
            created="2026-01-02",
            digests={"gone.txt": "ab" * 32, "README.md": "short"},
        )
    assert "gone.txt: no such file" in caught.value.message
    assert "README.md: not a sha256" in caught.value.message


def test_links_and_bad_names_are_refused_together(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "new\nline").write_text("")
    (folder / "back\\slash").write_text("")
    os.mkfifo(folder / "pipe")
    with pytest.raises(RefusedError) as caught:
        built(folder)
    for name in (
        "'link': not a plain file",
        "'pipe': not a plain file",
        "a control character",
        "a backslash",
    ):
        assert name in caught.value.message


def test_writing_is_deterministic_and_reads_back(folder: Path) -> None:
    first = built(folder)
    first.write(folder)
    data = (folder / "manifest.json").read_bytes()
    second = built(folder)
    second.write(folder)
    assert (folder / "manifest.json").read_bytes() == data
    assert read(folder) == first == second
    assert json.loads(data)["schema"] == 1


def test_released_files_count_the_manifest_itself(folder: Path) -> None:
    listed = built(folder)
    data = listed.write(folder).read_bytes()
    assert (
        ReleaseFile("manifest.json", len(data), hashlib.sha256(data).hexdigest(), False)
        in listed.released()
    )
    assert len(listed.released()) == 4


def test_lfs_rule() -> None:
    assert uses_lfs("a.safetensors", 1) and uses_lfs("GGUF/mmproj.gguf", 1)
    assert not uses_lfs("tokenizer.json", LFS_BYTES)
    assert uses_lfs("tokenizer.json", LFS_BYTES + 1)


def test_gitattributes_cover_safetensors_and_exact_large_files(folder: Path) -> None:
    with (folder / "sub" / "a *[1].json").open("wb") as stream:
        stream.truncate(LFS_BYTES + 1)
    (folder / ".gitattributes").write_text("*.bin filter=lfs\n")
    assert write_gitattributes(folder).read_text() == (
        "* -text\n"
        "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
        "*.model filter=lfs diff=lfs merge=lfs -text\n"
        "/sub/a[[:space:]]\\*\\[1\\].json filter=lfs diff=lfs merge=lfs -text\n"
    )


def test_reading_names_every_problem(folder: Path) -> None:
    built(folder).write(folder)
    data = json.loads((folder / "manifest.json").read_text())
    data["created"] = "yesterday"
    bad = {"size": 1, "sha256": "ab" * 32, "lfs": False}
    data["files"] = [
        *(
            {"path": path, **bad}
            for path in (
                "/etc/passwd",
                "../up",
                "a\\b",
                "C:/x",
                "a//b",
                ".git/config",
                "manifest.json",
            )
        ),
        {"path": "twice", **bad},
        {"path": "twice", **bad, "size": -1},
        {"path": "digest", **bad, "sha256": "AB"},
    ]
    (folder / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(UsageError) as caught:
        read(folder)
    text = caught.value.message
    for part in (
        "'/etc/passwd': an absolute path",
        "'../up': an empty, `.` or `..` part",
        "a backslash",
        "'C:/x': an absolute path",
        "'a//b'",
        "inside a .git folder",
        "lists itself",
        "'twice' is listed twice",
        "-1 is negative",
        "'AB' is not a sha256",
        "'yesterday'",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "schema None"),
        ('{"schema": 2}', "schema 2 is not 1"),
        ('{"schema": 1, "name": 3, "tagg": ""}', "unknown key 'tagg'"),
        (
            '{"schema": 1, "name": "n", "tag": "t", "created": "2026-01-02", "files": '
            '[{"path": 1}]}',
            "files[0].path must be a text",
        ),
    ],
)
def test_a_bad_manifest_is_a_usage_error(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError) as caught:
        read(tmp_path)
    assert part in caught.value.message
    assert caught.value.remedy


def test_no_manifest_or_a_link_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no manifest"):
        read(tmp_path)
    (tmp_path / "manifest.json").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="has no manifest"):
        read(tmp_path)


@given(st.text(max_size=40))
def test_a_path_without_problem_stays_inside(path: str) -> None:
    if path_problem(path) is None:
        inside: Any = Path("/release").joinpath(path)
        assert Path(os.path.normpath(inside)).is_relative_to("/release")
        assert os.path.normpath(inside) == str(inside)


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:02", 2),
    ],
)
def test_dates(date: str, seconds: int) -> None:
    assert utc_seconds(date) == seconds
