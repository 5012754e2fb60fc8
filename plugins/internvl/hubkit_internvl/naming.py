"""The rule on repository names: official InternVL checkpoints are found by their name."""

from __future__ import annotations

import re

MARK = "InternVL"
_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|[A-Za-z0-9]")


def repository_problem(repository: str) -> str | None:
    """Servers such as LMDeploy pick the conversation template by the folder's name, and fall back
    silently to another."""
    *organisation, name = repository.split("/")
    if len(organisation) > 1:
        return f"{repository!r} has more than one slash; the form is organisation/name or name"
    for part in (*organisation, name):
        if (
            not _PART.fullmatch(part)
            or "--" in part
            or ".." in part
            or len(part) > 96
            or part.endswith((".git", ".ipynb"))
        ):
            return (
                f"{part!r} is not a valid name on the hubs: 1 to 96 letters, digits, '-', '_' and "
                "'.', first and last a letter or digit, no '--' or '..', not ending in .git or "
                ".ipynb"
            )
    if MARK not in name:
        return (
            f"{name!r} does not contain {MARK!r} (capital I, V and L): servers choose the prompt "
            "template of an InternVL model by its name"
        )
    return None
