"""Which Git LFS objects belong to a repository: the store is one for all of them, and who may read
only public ones must not name the object of another."""

from __future__ import annotations

from .database import Repository
from .hub import POINTER, POINTER_LIMIT, Hub


def held(hub: Hub, repository: Repository) -> frozenset[str]:
    """The sha256 of every object that a pointer in the repository's history names."""
    git = hub.git(repository)
    listed = git.git("rev-list", "--objects", "--all").split(b"\n")
    ids = b"\n".join(line.partition(b" ")[0] for line in listed)
    form = "--batch-check=%(objecttype) %(objectname) %(objectsize)"
    facts = [line.split() for line in git.git("cat-file", form, stdin=ids).splitlines()]
    small = [
        oid.decode()
        for kind, oid, size in (fact for fact in facts if len(fact) == 3)
        if kind == b"blob" and int(size) < POINTER_LIMIT
    ]
    found = (POINTER.fullmatch(data) for _, data in git.blobs(small))
    return frozenset(pointer["oid"].decode() for pointer in found if pointer)
