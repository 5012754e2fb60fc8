import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from testing.rights import ordinary

from hubkit.hygiene.audit import HUB_LIMIT, audit
from hubkit.packaging import manifest

GITHUB, AMAZON = "ghp_" + "x1Y" * 12, "AKIA" + "ABCDEFGH12345678"
PATH = "a path on somebody's machine"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound release folder of the usual files."""
    folder = tmp_path / "release"
    (folder / "examples").mkdir(parents=True)
    (folder / ".eval_results").mkdir()
    save_file(
        {"a.weight": np.ones((4, 4), np.float32)}, folder / "model.safetensors", {"format": "pt"}
    )
    (folder / "config.json").write_text(
        json.dumps({"model_type": "internvl_chat", "auto_map": {"AutoModel": "modeling_x.Model"}})
    )
    (folder / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": {"/home/user/": 1, "/usr/local/bin": 2}}})
    )
    (folder / "modeling_x.py").write_text(
        "#!/usr/bin/env python\nPATH = 'path/to/x'  # https://example.org/home/user/docs\n"
    )
    (folder / "README.md").write_text(
        "```\ngit clone https://huggingface.co/org/InternVL2-X\n```\n3/4 of data/train/x; "
        "~/ is yours\n"
    )
    (folder / ".eval_results" / "digits.yaml").write_text("- value: 0.9\n")
    (folder / "examples" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    manifest.write_gitattributes(folder)
    return folder


def found(folder: Path) -> dict[str, str]:
    return {problem.where: problem.message for problem in audit(folder)}


def test_a_sound_release_has_no_problem(folder: Path) -> None:
    listed = manifest.build(folder, name="InternVL2-X", tag="v1", created="2026-01-02", digests={})
    listed.write(folder)
    (folder / ".git").mkdir()
    (folder / ".git" / "id_rsa").write_text("the repository's own folder is not published")
    assert audit(folder) == ()


@pytest.mark.parametrize(
    "name", ["a.pth", "a.PT", "pytorch_model.bin", "x.pkl", "x.ckpt", "x.joblib"]
)
def test_pickles_by_suffix(folder: Path, name: str) -> None:
    (folder / name).write_text("anything")
    assert found(folder) == {name: "a pickle by its suffix: loading it can run code"}


def test_pickles_by_content(folder: Path) -> None:
    for protocol in (2, 3, 4, 5):
        (folder / f"protocol{protocol}.dat").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    with zipfile.ZipFile(folder / "torch.dat", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    hidden = io.BytesIO()
    with zipfile.ZipFile(hidden, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    (folder / "prefixed.txt").write_bytes(b"some text first\n" + hidden.getvalue())
    np.save(folder / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(folder / "numbers.npy", np.ones(3))
    names = [
        *(f"protocol{protocol}.dat" for protocol in (2, 3, 4, 5)),
        "torch.dat",
        "prefixed.txt",
        "objects.npy",
    ]
    assert found(folder) == dict.fromkeys(
        sorted(names), "a pickle by its content: loading it can run code"
    )


def test_a_real_torch_checkpoint_under_another_name(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(2)}, folder / "weights.dat")
    torch.save({"a": torch.ones(2)}, folder / "old.dat", _use_new_zipfile_serialization=False)
    assert sorted(found(folder)) == ["old.dat", "weights.dat"]


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "sub/.netrc",
        "id_ed25519",
        "server.pem",
        "credentials.json",
        ".git-credentials",
    ],
)
def test_files_that_hold_credentials(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert found(folder) == {name: "a file that holds credentials"}


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        (
            "config.json",
            '{\n "_name_or_path": "/srv/models/InternVL2-2B"}',
            "config.json: _name_or_path",
        ),
        ("config.json", '{"a": {"b": ["/opt/x/y"]}}', "config.json: a.b[0]"),
        ("config.json", '{"a": "C:\\\\Users\\\\ada\\\\model"}', "config.json: a"),
        ("config.json", '{"a": "~/models/x"}', "config.json: a"),
        ("README.md", "\nbase: /home/ada/models\n", "README.md:2"),
        ("README.md", "from `/Users/ada/models/x`", "README.md:1"),
        ("README.md", "see file:///data/x", "README.md:1"),
        ("train.yaml", "out: /mnt/disk1/run\n", "train.yaml:1"),
        ("modeling_x.py", "x = '/root/.cache/x'\n", "modeling_x.py:1"),
        ("log.txt", "saved to C:\\Users\\ada\\x", "log.txt:1"),
        ("log.txt", "cd ~/work/x", "log.txt:1"),
        ("log.txt", "wrote /tmp/abc", "log.txt:1"),
    ],
)
def test_local_paths(folder: Path, name: str, text: str, where: str) -> None:
    (folder / name).write_text(text)
    assert found(folder) == {where: PATH}


def test_a_key_given_twice_hides_nothing(folder: Path) -> None:
    (folder / "config.json").write_text('{"a": "/srv/models/x", "a": 1}')
    assert found(folder) == {"config.json: a": PATH}


def test_links_hidden_files_caches_and_programs(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder link").symlink_to("examples")
    os.mkfifo(folder / "pipe")
    (folder / ".DS_Store").write_text("x")
    (folder / "examples" / ".gitattributes").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.txt").write_text("x")
    (folder / "examples" / ".cache" / "deep").mkdir(parents=True)
    for name in "12":
        (folder / "examples" / ".cache" / "deep" / name).write_text("x")
    (folder / "tool").write_bytes(b"\x7fELF\x02\x01\x01")
    (folder / "lib.so").write_text("x")
    (folder / "run.sh").write_text("echo\n")
    (folder / "run.sh").chmod(0o755)
    assert found(folder) == {
        ".DS_Store": "a hidden file",
        "__pycache__": "Python's cache",
        "examples/.cache": "a hidden folder",
        "examples/.gitattributes": "a hidden file",
        "folder link": "a symbolic link",
        "lib.so": "a program by its suffix",
        "link": "a symbolic link",
        "pipe": "neither a file nor a folder",
        "run.sh": "marked as executable",
        "tool": "a program by its first bytes",
    }


def test_a_file_above_the_hubs_limit(folder: Path) -> None:
    with (folder / "huge.dat").open("wb") as stream:
        stream.truncate(HUB_LIMIT + 1)
    assert found(folder) == {"huge.dat": "50000000001 bytes: the hubs take at most 50 GB a file"}


def test_names(folder: Path) -> None:
    (folder / "readme.md").write_text("x")
    (folder / "Examples").mkdir()
    (folder / "Examples" / "2.txt").write_text("x")
    (folder / "tab\there").write_text("x")
    Path(os.fsdecode(os.fsencode(folder) + b"/latin-\xe9")).write_text("x")
    assert found(folder) == {
        "'examples'": "differs from 'Examples' only by case or Unicode form",
        "'latin-\\udce9'": "the name is not UTF-8",
        "'readme.md'": "differs from 'README.md' only by case or Unicode form",
        "'tab\\there'": "a control character in the name",
    }


def test_pointers(folder: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for name in ("tokenizer.model", "config.json", "examples/1.png", "model.safetensors"):
        (folder / name).write_text(pointer)
    assert found(folder) == dict.fromkeys(
        ("config.json", "examples/1.png", "model.safetensors", "tokenizer.model"),
        "a Git LFS pointer, not the content itself",
    )
    assert {problem.remedy for problem in audit(folder)} == {
        "run `git lfs pull` in release, or download the files again"
    }
    (folder / "config.json").write_text(pointer + "x" * 1024)
    assert "config.json" not in found(folder)


def test_a_snapshot_in_a_cache_consists_of_links(folder: Path, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (folder / "README.md").rename(blobs / "1")
    (snapshot / "README.md").symlink_to("../../blobs/1")
    assert found(snapshot) == {}
    (blobs / "1").write_text(f"use {GITHUB}")
    (snapshot / "gone.md").symlink_to("../../blobs/2")
    assert found(snapshot) == {
        "README.md:1": "looks like a GitHub token",
        "gone.md": "a symbolic link",
    }


def test_everything_is_reported_at_once(folder: Path) -> None:
    (folder / "x.pkl").write_text("x")
    (folder / ".env").write_text(f"A={AMAZON}\nB={GITHUB}\n")
    assert found(folder) == {
        ".env": "a file that holds credentials",
        ".env:1": "looks like an AWS access key",
        ".env:2": "looks like a GitHub token",
        "x.pkl": "a pickle by its suffix: loading it can run code",
    }
    assert all(problem.remedy for problem in audit(folder))


def test_what_may_not_be_read_is_no_sound_file(folder: Path) -> None:
    (folder / "config.json").chmod(0)
    with ordinary():
        (problem,) = audit(folder)
        assert problem.message == "cannot be read (Permission denied)"
        assert problem.remedy == "correct its permissions"
        (folder / "config.json").chmod(0o600)
        assert audit(folder) == ()


def test_text_without_end_is_not_searched(folder: Path) -> None:
    """Its end is a hole; words at its beginning make it text."""
    path = folder / "log.txt"
    path.write_bytes(b"words of a log\n" * (2 << 20))
    os.truncate(path, (1 << 30) + 1)
    assert found(folder) == {
        "log.txt": f"{(1 << 30) + 1} bytes of text, too many to be searched for secrets"
    }
    path.unlink()
    assert audit(folder) == ()
