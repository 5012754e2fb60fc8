"""Making a model folder a commit with Git LFS: hubkit beside `git lfs track && git add && git
commit`, and `cp` for scale.

    python benchmarks/staging.py                 # 4.41 GB, the weights of InternVL2-2B
    python benchmarks/staging.py --size tiny     # 64 MB, to see that it works
    python benchmarks/staging.py --repeat 3

Both make a repository with one commit of the same files. hubkit is given the weights' sha256, which
the merge computed while it wrote them; everything else that `hubkit track` writes (attributes,
manifest, tag) is in its time. The weights' pages are in the cache; the clock stops when the file
system is synced. Further bytes are blocks on the disk, each file counted once however many names it
has. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from hubkit.packaging import lfs, manifest
from hubkit.sdk.gitcli import require_git_lfs
from hubkit.weights.header import build_header

BYTES = {"tiny": 64 * 10**6, "2B": 4_411_508_736}
"""Of the weights. 2B: 2,205,754,368 parameters in bfloat16."""
WEIGHTS = "model.safetensors"


def make(folder: Path, size: int) -> str:
    """Writes the model folder; gives the sha256 of its weights."""
    folder.mkdir(parents=True)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps({"name": name}))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# InternVL2-Benchmark\n")
    noise, digest = memoryview(os.urandom(2**25)), hashlib.sha256()
    header = build_header([("weight", "BF16", (size // 2,))], WEIGHTS, {"format": "pt"}).raw
    with (folder / WEIGHTS).open("wb") as file:
        for start in range(-len(noise), size, len(noise)):
            part = noise[: size - start] if start >= 0 else memoryview(header)
            digest.update(part)
            file.write(part)
    return digest.hexdigest()


def by_hubkit(folder: Path, sha256: str) -> None:
    manifest.write_gitattributes(folder)
    listed = manifest.build(
        folder, name=folder.name, tag="v1", created="2026-01-01", digests={WEIGHTS: sha256}
    )
    listed.write(folder)
    lfs.stage(
        folder,
        listed,
        message="v1",
        author_name="A",
        author_email="a@example.org",
        date="2026-01-01",
        tag="v1",
    )


def by_git(folder: Path, sha256: str) -> None:
    for command in (
        ["init", "-q", "-b", "main"],
        ["lfs", "install", "--local"],
        ["lfs", "track", "*.safetensors"],
        ["add", "-A"],
        ["commit", "-q", "-m", "v1"],
    ):
        git(folder, *command)


def by_cp(folder: Path, sha256: str) -> None:
    shutil.copytree(
        folder, folder / ".git" / "copy", copy_function=_cp, ignore=shutil.ignore_patterns(".git")
    )


def _cp(source: str, target: str) -> None:
    subprocess.run(["cp", source, target], check=True)


JOBS: dict[str, Callable[[Path, str], None]] = {
    "cp": by_cp,
    "hubkit": by_hubkit,
    "git lfs track, git add, git commit": by_git,
}


def git(folder: Path, *arguments: str) -> str:
    """git without the user's and the system's configuration."""
    settings = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": str(folder.parent),
    }
    person = {
        f"GIT_{role}_{key}": "a@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    command, environment = ["git", *arguments], {**os.environ, **settings, **person}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def used(folder: Path) -> int:
    """Bytes of all blocks, each file once."""
    found = {
        (s.st_dev, s.st_ino): s.st_blocks * 512 for path in folder.rglob("*") if (s := path.lstat())
    }
    return sum(found.values())


def measure(folder: Path, job: str, sha256: str) -> tuple[float, int]:
    """(seconds, further bytes)"""
    clean(folder)
    subprocess.run(["cat", folder / WEIGHTS], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["sync", "-f", folder], check=True)
    before, start = used(folder), time.perf_counter()
    JOBS[job](folder, sha256)
    subprocess.run(["sync", "-f", folder], check=True)
    seconds, more = time.perf_counter() - start, used(folder) - before
    if job != "cp":
        check(folder, sha256)
    return seconds, more


def check(folder: Path, sha256: str) -> None:
    """One commit that holds the weights in Git LFS, and a clean work tree."""
    listed, status = git(folder, "lfs", "ls-files", "--long"), git(folder, "status", "--porcelain")
    if listed.split()[::2] != [sha256, WEIGHTS] or status:
        sys.exit(f"the commit is not what it should be: {listed!r} {status!r}")


def clean(folder: Path) -> None:
    shutil.rmtree(folder / ".git", ignore_errors=True)
    for name in (manifest.MANIFEST, manifest.GITATTRIBUTES):
        (folder / name).unlink(missing_ok=True)
    (folder / WEIGHTS).chmod(0o644)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=BYTES, default="2B")
    parser.add_argument(
        "--folder",
        type=Path,
        help="a folder to work in; default: one below the system's temporary folder",
    )
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    size, versions = BYTES[given.size], require_git_lfs()
    with tempfile.TemporaryDirectory(prefix="hubkit-bench-", dir=given.folder) as work:
        folder = Path(work) / "InternVL2-Benchmark"
        sha256 = make(folder, size)
        print(
            f"{size / 1e9:.2f} GB of weights, git {versions.git}, git-lfs {versions.lfs}; best of "
            f"{given.repeat}"
        )
        print(f"{'':36}{'wall s':>9}{'x hubkit':>10}{'further bytes':>16}")
        best = {job: min(measure(folder, job, sha256) for _ in range(given.repeat)) for job in JOBS}
        for job, (seconds, more) in best.items():
            print(f"{job:36}{seconds:9.3f}{seconds / best['hubkit'][0]:10.1f}{more:16,}")


if __name__ == "__main__":
    main()
