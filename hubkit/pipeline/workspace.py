"""The run folder of one release: `.hubkit/<release>/`, its lock, and its sealed stages.

plan.json           when the release was first planned; every date in it comes from here
lock                held while a release runs
digests.json        digests of files by size, mtime and inode
tmp/                temporary files while a release runs, swept by the next
<stage>/            a sealed stage; seal.json says from which inputs, and what it gave
scratch/<stage>/    survives a kill: a trainer's checkpoints
jobs/<stage>/       a stage that runs elsewhere: its job, its log, what it gave
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
from pathlib import Path
from typing import Any

from .. import digests
from ..errors import EnvironmentFailure, HubkitError, UsageError
from ..files.disk import remove
from ..packaging.manifest import release_date, utc_seconds
from ..sdk import codec, json_text
from .seal import SEAL, Seal, read_seal


class Workspace:
    def __init__(self, root: Path, release: str) -> None:
        self.folder = root / ".hubkit" / release
        self.digests = digests.FileDigests(self.folder / "digests.json")

    def stage(self, name: str) -> Path:
        return self.folder / name

    def scratch(self, name: str) -> Path:
        return self.folder / "scratch" / name

    def job(self, name: str) -> Path:
        return self.folder / "jobs" / name

    def native(self, name: str, digest: str) -> Path:
        """Where the native view of a model with this digest is kept while the release runs."""
        return self.folder / "native" / f"{name}-{digest[:16]}"

    def planned(self) -> str:
        """The release's date, `2026-01-31T12:00:00Z`: fixed at the first call; SOURCE_DATE_EPOCH
        decides when it is set. A plan.json that is damaged or gone is made again from the sealed
        stage that the date went into."""
        plan = self.folder / "plan.json"
        if (found := _read_date(plan)) is None:
            found = self._sealed_date() or release_date()
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_json(plan, {"planned": found})
        return found

    def _sealed_date(self) -> str | None:
        seals = (self.seal_of(path.parent.name) for path in self.folder.glob(f"*/{SEAL}"))
        return next(
            (seal.inputs["planned"] for seal in seals if seal and "planned" in seal.inputs), None
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Meanwhile temporary files go to `tmp`, where the next run finds what a kill has left.

        Raises:
            UsageError: the same release is running already.
        """
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
            with _temporary_files_in(self.folder / "tmp"):
                yield
        finally:
            self.digests.save()
            lock.release()

    def _clean(self) -> None:
        for left in (*self.folder.glob(".*.partial"), *self.folder.glob(".*.old")):
            remove(left)

    def seal_of(self, stage: str) -> Seal | None:
        """The seal of `stage`; None when it was never finished, or the seal is damaged."""
        return read_seal(self.stage(stage))

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
        _write_json(partial / SEAL, codec.encode(seal))
        place, old = self.stage(stage), self.folder / f".{stage}.{os.getpid()}.old"
        if place.exists():
            place.replace(old)
        partial.replace(place)
        _sync_folder(self.folder)
        remove(old)
        remove(self.scratch(stage))
        self.digests.remember(place, outputs)
        return seal

    def keep_logs(self, stage: str, partial: Path, error: BaseException) -> None:
        """A failed stage leaves nothing but its logs, where the error message can point to
        them."""
        logs = self.folder / "logs" / stage
        remove(logs)
        for found in sorted(partial.rglob("*.log")):
            target = logs / "-".join(found.relative_to(partial).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            found.replace(target)
        if isinstance(error, HubkitError) and str(partial) in str(error):
            error.message = error.message.replace(str(partial), str(logs))
            error.remedy = error.remedy.replace(str(partial), str(logs))


def _read_date(plan: Path) -> str | None:
    try:
        found = json_text.load(plan)["planned"]
        utc_seconds(found)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return str(found)


def _write_json(path: Path, data: Any) -> None:
    text = json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True)
    digests.write_atomically(path, text + "\n")


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """In this process; workers go on using the system's. Another thread may run another release
    meanwhile."""
    remove(folder)
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        if tempfile.tempdir == str(folder):
            tempfile.tempdir = before if before and Path(before).is_dir() else None
        remove(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
