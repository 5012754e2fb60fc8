"""Files by their sha256 on disk: received in one pass (hashed while written), never visible before
the digest is right."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .refusal import Refusal

_BATCH = 4 * 1024 * 1024
_OID = re.compile(r"[0-9a-f]{64}")
Chunks = AsyncIterable[bytes]


def check_oid(oid: object, size: object) -> tuple[str, int]:
    """
    Raises:
        Refusal: 422, not a sha256 in hexadecimal, or not a size.
    """
    if (
        not isinstance(oid, str)
        or not _OID.fullmatch(oid)
        or not isinstance(size, int)
        or isinstance(size, bool)
        or size < 0
    ):
        raise Refusal(422, f"not a Git LFS object: oid {oid!r}, size {size!r}")
    return oid, size


class ObjectStore:
    """`folder/objects/ab/cd/<sha256>`, and `folder/incoming` for what is on its way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "objects"
        self._incoming = folder / "incoming"
        for path in (self.folder, self._incoming):
            path.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()
        # two at a time for each transfer: one hashes while the other writes
        self._threads = ThreadPoolExecutor(8, "hub-store")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def path(self, oid: str) -> Path:
        return self.folder / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """None when the object is not there."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def has(self, oid: str, size: int) -> bool:
        return self.size(oid) == size

    async def receive(
        self, chunks: Chunks, oid: str, size: int | None, *, spoil: bool = False
    ) -> int:
        """Stores a stream as `oid` and returns its length. With `spoil`, one byte is changed on the
        way to the disk and nothing is checked: a hub that keeps wrong bytes.

        Raises:
            Refusal: 400, the stream is not `size` bytes long (None: any) or its sha256 is not
                `oid`; nothing is kept.
        """
        partial = self._incoming / secrets.token_hex(16)
        try:
            digest, count = await self._write(chunks, partial, 0, size, spoil)
            if size not in (None, count):
                raise Refusal(400, f"{oid}: {count} bytes arrived, {size} were announced")
            if not spoil and digest != oid:
                raise Refusal(400, f"the sha256 of what arrived is {digest}, not {oid}")
            self._install(partial, oid)
        finally:
            partial.unlink(missing_ok=True)
        return count

    async def receive_part(self, chunks: Chunks, oid: str, offset: int, length: int) -> str:
        """Writes a part of `oid` at its place and returns the part's sha256.

        Raises:
            Refusal: 400, the part is not `length` bytes long.
        """
        partial = self._part_file(oid)
        partial.touch()
        digest, count = await self._write(chunks, partial, offset, length, False)
        if count != length:
            raise Refusal(
                400,
                f"{oid}: {count} bytes arrived for the part at {offset}, {length} were expected",
            )
        return digest

    def complete(self, oid: str) -> int:
        """Reads what the parts gave, and keeps it when its sha256 is `oid`; its size.

        Raises:
            Refusal: 400, no parts have come, or they are not the content of `oid`.
        """
        partial = self._part_file(oid)
        digest = hashlib.sha256()
        try:
            with partial.open("rb", buffering=0) as file:
                while block := file.read(_BATCH):
                    digest.update(block)
        except FileNotFoundError:
            if (size := self.size(oid)) is not None:
                return size
            raise Refusal(400, f"{oid}: no part has been uploaded") from None
        if digest.hexdigest() != oid:
            partial.unlink(missing_ok=True)
            raise Refusal(
                400, f"the sha256 of the parts together is {digest.hexdigest()}, not {oid}"
            )
        size = partial.stat().st_size
        self._install(partial, oid)
        return size

    def _part_file(self, oid: str) -> Path:
        return self._incoming / f"{oid}.parts"

    def _install(self, partial: Path, oid: str) -> None:
        target = self.path(oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)

    async def _write(
        self, chunks: Chunks, path: Path, offset: int, limit: int | None, spoil: bool
    ) -> tuple[str, int]:
        """sha256 and length of `chunks`, written at `offset`. A batch is hashed and written by two
        threads while the next one arrives."""
        digest, count, batch, filled = hashlib.sha256(), 0, list[bytes](), 0
        loop = asyncio.get_running_loop()
        pending: list[asyncio.Future[Any]] = []
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

        async def hand_over() -> None:
            nonlocal batch, filled, pending
            await asyncio.gather(*pending)
            data, place = batch, offset + count - filled
            written = [_flip(data[0]), *data[1:]] if spoil and place == offset and data else data
            jobs: tuple[Callable[[], None], ...] = (
                lambda: _each(digest.update, data),
                lambda: _write_all(descriptor, written, place),
            )
            pending = [loop.run_in_executor(self._threads, job) for job in jobs]
            batch, filled = [], 0

        try:
            async for chunk in chunks:
                count, filled = count + len(chunk), filled + len(chunk)
                if limit is not None and count > limit:
                    raise Refusal(400, f"more than the announced {limit} bytes arrive")
                batch.append(chunk)
                if filled >= _BATCH:
                    await hand_over()
            await hand_over()
        finally:
            await asyncio.gather(*pending, return_exceptions=True)
            os.close(descriptor)
        for job in pending:
            job.result()
        return digest.hexdigest(), count


def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else data


def _each(function: Callable[[bytes], None], chunks: list[bytes]) -> None:
    for chunk in chunks:
        function(chunk)


def _write_all(descriptor: int, chunks: list[bytes], offset: int) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            done = os.pwrite(descriptor, view, offset)
            view, offset = view[done:], offset + done
