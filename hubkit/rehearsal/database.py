"""What git does not keep: repositories and their settings, pull requests, digests of blobs, and the
log of writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS repositories (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, private INTEGER NOT NULL, license TEXT NOT NULL,
    gated TEXT NOT NULL DEFAULT '', creator TEXT NOT NULL, created TEXT NOT NULL, changed TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS moves (old TEXT PRIMARY KEY, repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE);
CREATE TABLE IF NOT EXISTS pulls (
    repository INTEGER NOT NULL REFERENCES repositories ON DELETE CASCADE, number INTEGER NOT NULL, title TEXT NOT NULL,
    description TEXT NOT NULL, author TEXT NOT NULL, status TEXT NOT NULL, created TEXT NOT NULL,
    merged TEXT NOT NULL DEFAULT '', PRIMARY KEY (repository, number));
CREATE TABLE IF NOT EXISTS blobs (
    oid TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL, pointer INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, protocol TEXT NOT NULL, user TEXT NOT NULL, action TEXT NOT NULL,
    repository TEXT NOT NULL, detail TEXT NOT NULL);
"""  # noqa: E501


@dataclass(frozen=True)
class Repository:
    """A row of `repositories`; `name` is organisation/name, times are ISO 8601 in UTC."""

    id: int
    name: str
    private: bool
    license: str
    gated: str
    creator: str
    created: str
    changed: str


@dataclass(frozen=True)
class Pull:
    """A pull request; `status` is draft, open, merged or closed, and `merged` the commit that it
    became."""

    repository: int
    number: int
    title: str
    description: str
    author: str
    status: str
    created: str
    merged: str


@dataclass(frozen=True)
class Event:
    id: int
    time: str
    protocol: str
    user: str
    action: str
    repository: str
    detail: str


@dataclass(frozen=True)
class Blob:
    """`size` and `sha256` are of the content that users get: behind a Git LFS pointer, when
    `pointer` is its length (else 0)."""

    oid: str
    size: int
    sha256: str
    pointer: int


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class Database:
    """One connection for all threads; each method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=NORMAL;" + _SCHEMA
        )

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def add_repository(
        self, name: str, *, private: bool, license: str, creator: str
    ) -> Repository | None:
        """None when the name is taken. A name that had moved away is free again."""
        moment = now()
        with self._lock:
            try:
                self._rows(
                    "INSERT INTO repositories (name, private, license, creator, created, changed) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    *(name, private, license, creator, moment, moment),
                )
            except sqlite3.IntegrityError:
                return None
            self._rows("DELETE FROM moves WHERE old = ?", name)
            return self.repository(name)

    def repository(self, name: str) -> Repository | None:
        rows = self._rows("SELECT * FROM repositories WHERE name = ?", name)
        return _repository(rows[0]) if rows else None

    def repositories(self) -> list[Repository]:
        return [
            _repository(row)
            for row in self._rows("SELECT * FROM repositories ORDER BY changed DESC, name")
        ]

    def set_repository(self, id: int, **values: Any) -> None:
        """Sets `private`, `gated` or `license`, and the time of the last change in any case."""
        assignments = "".join(
            f"{column} = ?, " for column in values if column in Repository.__dataclass_fields__
        )
        self._rows(
            f"UPDATE repositories SET {assignments}changed = ? WHERE id = ?",
            *values.values(),
            now(),
            id,
        )

    def rename(self, repository: Repository, name: str) -> bool:
        with self._lock:
            try:
                self._rows(
                    "UPDATE repositories SET name = ?, changed = ? WHERE id = ?",
                    name,
                    now(),
                    repository.id,
                )
            except sqlite3.IntegrityError:
                return False
            self._rows("DELETE FROM moves WHERE old = ?", name)
            self._rows("INSERT OR REPLACE INTO moves VALUES (?, ?)", repository.name, repository.id)
            return True

    def moved_to(self, name: str) -> str | None:
        rows = self._rows(
            "SELECT name FROM repositories JOIN moves ON moves.repository = repositories.id WHERE "
            "old = ?",
            name,
        )
        return str(rows[0][0]) if rows else None

    def remove(self, id: int) -> None:
        self._rows("DELETE FROM repositories WHERE id = ?", id)

    def add_pull(self, repository: int, title: str, description: str, author: str) -> Pull:
        with self._lock:
            number = (
                1
                + self._rows(
                    "SELECT COALESCE(MAX(number), 0) FROM pulls WHERE repository = ?", repository
                )[0][0]
            )
            row = (repository, number, title, description, author, "draft", now(), "")
            self._rows("INSERT INTO pulls VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row)
            return self.pulls(repository, number)[0]

    def pulls(self, repository: int, number: int | None = None) -> list[Pull]:
        rows = self._rows(
            "SELECT * FROM pulls WHERE repository = ? ORDER BY number DESC", repository
        )
        return [pull for pull in (Pull(*row) for row in rows) if number in (None, pull.number)]

    def set_pull(self, pull: Pull, status: str, merged: str = "") -> None:
        sql = "UPDATE pulls SET status = ?, merged = ? WHERE repository = ? AND number = ?"
        self._rows(sql, status, merged, pull.repository, pull.number)

    def blobs(self, oids: Sequence[str]) -> dict[str, Blob]:
        found = {}
        for start in range(0, len(oids), 500):
            part = oids[start : start + 500]
            for row in self._rows(
                f"SELECT * FROM blobs WHERE oid IN ({','.join('?' * len(part))})", *part
            ):
                found[row[0]] = Blob(*row)
        return found

    def add_blobs(self, blobs: Iterable[Blob]) -> None:
        rows = [(blob.oid, blob.size, blob.sha256, blob.pointer) for blob in blobs]
        with self._lock:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("COMMIT")

    def add_event(
        self, protocol: str, user: str, action: str, repository: str, detail: str
    ) -> None:
        columns = "time, protocol, user, action, repository, detail"
        self._rows(
            f"INSERT INTO events ({columns}) VALUES (?, ?, ?, ?, ?, ?)",
            now(),
            protocol,
            user,
            action,
            repository,
            detail,
        )

    def events(self, limit: int = 200, before: int | None = None) -> list[Event]:
        """The newest first."""
        sql = "SELECT * FROM events WHERE ? IS NULL OR id < ? ORDER BY id DESC LIMIT ?"
        return [Event(*row) for row in self._rows(sql, before, before, limit)]


def _repository(row: tuple[Any, ...]) -> Repository:
    id, name, private, *rest = row
    return Repository(id, name, bool(private), *rest)
