"""What the hub answers instead of doing as asked; each protocol words it in its own way."""

from __future__ import annotations


class Refusal(Exception):
    """`code` is Hugging Face's `X-Error-Code` where it has one (RepoNotFound, RevisionNotFound,
    EntryNotFound)."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class Moved(Exception):
    """The repository has another name now: `old` is to be replaced by `new` in the request's
    path."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(f"{old} is now {new}")
        self.old, self.new = old, new
