"""Files and disks that do not do what is asked: the message names them, and its remedy works."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from testing.rights import ordinary

from hubkit.files import disk
from hubkit.files.outside import inside, read_config, read_json
from hubkit.sdk import EnvironmentFailure, UsageError, WeightsError


@pytest.mark.parametrize(
    ("name", "says", "remedy"),
    [
        ("x" * 256, "no file can have the name 'xxx", "correct the file that names it"),
        ("loop", "'loop' is a link that leads to itself", "replace the link by a copy of the file"),
    ],
)
def test_names_that_lead_nowhere(tmp_path: Path, name: str, says: str, remedy: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(WeightsError, match=says) as caught:
        inside(tmp_path, name)
    assert caught.value.remedy == remedy
    (tmp_path / "loop").unlink()
    (tmp_path / "loop").touch()
    assert inside(tmp_path, "loop") == tmp_path / "loop"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"a": "\xff"}', r"config\.json: not UTF-8 \(byte 7\)"),
        (b'{"a": NaN}', r"config\.json: not JSON \(NaN is not JSON"),
        (b'{"hidden_size": 1e12}', r"config\.json: hidden_size is .*; no model has more than"),
    ],
)
def test_contents_that_are_none(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 64}')
    assert read_config(tmp_path) == {"hidden_size": 64}


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(0)
    with ordinary():
        with pytest.raises(UsageError, match=r"config\.json: Permission denied") as caught:
            read_json(tmp_path, "config.json")
        assert caught.value.remedy == "give a file that can be read"
        path.chmod(0o600)
        assert read_json(tmp_path, "config.json") == {}


def full(folder: Path) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def locked(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500, exist_ok=True)
    with ordinary():
        (folder / "locked" / "x").write_text("x")


def too_long(folder: Path) -> None:
    (folder / ("x" * 300)).write_text("x")


@pytest.mark.parametrize(
    ("write", "kind", "says", "remedy"),
    [
        (full, EnvironmentFailure, "No space left on device; 7 bytes are needed", "make room"),
        (locked, EnvironmentFailure, "locked/x: Permission denied", "change its permissions"),
        (too_long, UsageError, "no file can have a name of this length", "name another file"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, write: Callable[[Path], None], kind: type, says: str, remedy: str
) -> None:
    with pytest.raises(OSError) as caught:
        write(tmp_path)
    told = disk.failure(caught.value, tmp_path, needed=7)
    assert type(told) is kind and says in str(told) and remedy in str(told)
    if write is locked:
        (tmp_path / "locked").chmod(0o700)
        write(tmp_path)


def test_another_failure_is_none_of_the_disks(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        tmp_path.read_bytes()
    assert disk.failure(caught.value) is None
