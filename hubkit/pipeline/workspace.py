"""The run folder of one release: `.hubkit/<release>/`, its lock, and its sealed stages.

plan.json           when the release was first planned; every date in it comes from here
lock                held while a release runs
digests.json        digests of files by size, mtime and inode
<stage>/            a sealed stage; seal.json says from which inputs, and what it gave
scratch/<stage>/    survives a kill: a trainer's checkpoints
native/<model>/     models as transformers loads them; made when needed, removed when the release is
                    done
.<stage>.*.partial  a stage at work, or left by a kill; removed at the next start
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import digests
from ..errors import EnvironmentFailure, UsageError
from ..files.disk import remove
from ..packaging.manifest import release_date

SEAL = "seal.json"


@dataclass(frozen=True)
class Seal:
    """`inputs` are what the stage depended on, by name; `outputs` maps each file to its sha256,
    `stamps` to its size, mtime and inode when sealed; `result` is the stage's typed result as JSON;
    `seconds` is how long it took."""

    stage: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    stamps: Mapping[str, str]
    result: Mapping[str, Any]
    seconds: float

    @property
    def digest(self) -> str:
        """Identifies what the stage gave, not how: equal outputs and results have equal digests."""
        return digests.of_json([self.stage, dict(self.outputs), dict(self.result)])


class Workspace:
    def __init__(self, root: Path, release: str) -> None:
        self.folder = root / ".hubkit" / release
        self.digests = digests.FileDigests(self.folder / "digests.json")

    def stage(self, name: str) -> Path:
        return self.folder / name

    def scratch(self, name: str) -> Path:
        return self.folder / "scratch" / name

    def native(self, name: str, digest: str) -> Path:
        """Where the native view of a model with this digest is kept while the release runs."""
        return self.folder / "native" / f"{name}-{digest[:16]}"

    def planned(self) -> str:
        """The release's date, `2026-01-31T12:00:00Z`: fixed at the first call; SOURCE_DATE_EPOCH
        decides when it is set."""
        plan = self.folder / "plan.json"
        if not plan.exists():
            _write_atomically(plan, {"planned": release_date()})
        return str(json.loads(plan.read_text("utf-8"))["planned"])

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Raises UsageError when the same release is running already."""
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / "lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise UsageError(
                f"this release is being run already: {self.folder / 'lock'} is held",
                "wait for the other run, or use another --workdir",
            ) from None
        except OSError as error:
            raise EnvironmentFailure(
                f"{self.folder}: {error.strerror}", "give a writable folder with --workdir"
            ) from None
        try:
            self._clean()
            yield
        finally:
            self.digests.save()
            lock.release()

    def _clean(self) -> None:
        for left in (*self.folder.glob(".*.partial"), *self.folder.glob(".*.old")):
            remove(left)

    def seal_of(self, stage: str) -> Seal | None:
        """The seal of `stage`; None when it was never finished."""
        try:
            return Seal(**json.loads((self.stage(stage) / SEAL).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def tampered(self, seal: Seal) -> str | None:
        """The first output that is no longer as it was sealed."""
        for name, sealed in seal.stamps.items():
            path = self.stage(seal.stage) / name
            if not path.is_file():
                return f"{seal.stage}/{name} is gone"
            if digests.stamp(path) != sealed and digests.sha256(path) != seal.outputs[name]:
                return f"{seal.stage}/{name} was changed"
        return None

    def open(self, stage: str) -> Path:
        """A fresh folder for `stage` to write into, on the same file system as its place."""
        folder = Path(tempfile.mkdtemp(prefix=f".{stage}.", suffix=".partial", dir=self.folder))
        folder.chmod(0o755)
        return folder

    def seal(
        self,
        stage: str,
        partial: Path,
        inputs: Mapping[str, str],
        result: Mapping[str, Any],
        seconds: float,
    ) -> Seal:
        """Writes the seal and puts the folder in its place; before the last step, the stage does
        not exist.

        Outputs whose digest `self.digests` knows are not read again.
        """
        names = digests.files_below(partial)
        outputs = self.digests.tree(partial, names)
        stamps = {name: digests.stamp(partial / name) for name in names}
        seal = Seal(stage, dict(inputs), outputs, stamps, result, round(seconds, 3))
        _write_atomically(partial / SEAL, asdict(seal))
        place, old = self.stage(stage), self.folder / f".{stage}.{os.getpid()}.old"
        if place.exists():
            place.replace(old)
        partial.replace(place)
        _sync_folder(self.folder)
        remove(old)
        remove(self.scratch(stage))
        self.digests.remember(place, outputs)
        return seal


def _write_atomically(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as out:
        json.dump(data, out, indent=1, ensure_ascii=False, sort_keys=True)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    Path(out.name).replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
