"""What of a release may be published over what a repository holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping

from .. import json_text
from ..errors import HubkitError, RefusedError, UsageError
from ..hub import PublishInput, ReleaseFile
from ..text import one_line

MANIFEST = "manifest.json"
"""Every release has one, and it names release and tag: no two releases are alike."""
GIVEN = frozenset({".gitattributes", ".gitignore", "README.md", "LICENSE", "configuration.json"})
"""What hubs and forges put into a repository that they make."""


def content(job: PublishInput, file: ReleaseFile) -> bytes:
    """A small file's bytes.

    Raises:
        RefusedError: they are not those of the manifest.
    """
    data = (job.folder / file.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise RefusedError(
            f"{file.path} was edited since the release was staged",
            "package the release again, then push",
        )
    return data


def is_manifest(data: bytes) -> bool:
    """Whether these are the bytes of a release's manifest.json, and not of some other program's
    file of that name."""
    try:
        read = json_text.parse(data)
    except ValueError:
        return False
    return isinstance(read, dict) and {"schema", "name", "tag", "created", "files"} <= read.keys()


def still_shown(
    released: Collection[str], there: Collection[str], differing: Collection[str]
) -> bool:
    """Whether a branch shows a release, or another one that came after it: not one that was taken
    back, or whose files were taken away.

    `there` are the branch's paths, `differing` those of the `released` paths that it lacks or has
    otherwise. People edit the GIVEN files on a hub's pages; that takes nothing back.
    """
    if MANIFEST in released and MANIFEST in there and MANIFEST in differing:
        return True
    return all(path in there and path in GIVEN for path in differing)


def refuse_strangers(
    place: str, branch: str, paths: Collection[str], *, is_release: bool, replace: bool
) -> None:
    """Raises RefusedError when the branch holds files of somebody else, and they are not to be
    replaced."""
    if is_release or replace or set(paths) <= GIVEN:
        return
    raise RefusedError(
        f"{place} has files on {branch} that are no release: "
        f"{one_line(', '.join(sorted(paths)[:10]))}",
        "publish to another repository or branch, or set the option replace: true (its history is "
        "kept)",
    )


def refuse_unlike(
    place: str, asked: Mapping[str, str], found: Mapping[str, str], undo: Callable[[], None] | None
) -> None:
    """Compares a repository that was just created, read back, with what was asked for. `undo`
    deletes it again; None where somebody else may have made it, or where no hub can.

    Raises:
        RefusedError: they differ; nothing was sent to it.
    """
    wrong = [
        f"{what} {found[what]} instead of {asked[what]}"
        for what in asked
        if found[what] != asked[what]
    ]
    if not wrong:
        return
    message = f"{place} was created with {' and '.join(wrong)}; nothing was sent to it"
    left = f"delete {place} on its page, "
    if undo is not None:
        try:
            undo()
        except HubkitError as error:
            message += f"; it could not be deleted again ({error.message})"
        else:
            message, left = f"{message}, and it was deleted again", ""
    raise RefusedError(
        message,
        f"{left}create it there as it is to be, then run again; or use a hub that keeps to what "
        "is asked",
    )


def refuse_public(place: str, paths: Collection[str]) -> None:
    """For a repository that is public although a private one is wanted.

    Raises:
        RefusedError: there is no release in it yet.
    """
    if set(paths) <= GIVEN:
        raise RefusedError(
            f"{place} is there already, empty and public, and a private release was asked for",
            "make it private on its page, or set the option private: false",
        )


def another_release(place: str, tag: str, commit: str = "") -> RefusedError:
    told = f" (commit {commit})" if commit else ""
    return RefusedError(
        f"{place} has another release under the tag {tag}{told}",
        "publish under another tag, or to another repository",
    )


def no_revision(place: str, revision: str, *, repository: bool) -> UsageError:
    """For a question about what is not there; `repository` says whether at least that is."""
    what = f"revision {revision!r}" if repository else "repository, or none that this token may see"
    return UsageError(f"{place} has no {what}", "correct the name, or publish first")
