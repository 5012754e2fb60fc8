"""Under which terms data come, and what a release file accepts of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import json_text

from ..errors import DataError, RefusedError, UsageError
from ..registry.plugins import plugins
from ..sdk import RESTRICTIONS, Terms, codec

NAME = "dataset.json"
"""Beside prepared data: where they come from, and the terms that travel with them."""
_NO_DERIVATIVES = re.compile(r"^cc-by-(nc-)?nd\b")
NOTE = "prepared by hubkit; the terms below travel with the data"


def terms_of(format: str, source: Path, options: Mapping[str, Any], stated: str = "") -> Terms:
    """The terms that the dataset plugin knows and those in a `dataset.json` beside the data,
    together; the licence `stated` by the user comes first. A licence of Creative Commons without
    derivatives is a restriction.

    Raises:
        DataError: the dataset.json is damaged.
    """
    own: Terms = plugins().get("dataset", format).terms(source, options)
    travelled = _travelled((source if source.is_dir() else source.parent) / NAME)
    license = stated or own.license or travelled.license
    of_license = ("no-derivatives",) if _NO_DERIVATIVES.search(license.lower()) else ()
    return Terms(
        license=license,
        notes=_joined(own.notes, travelled.notes),
        restrictions=_joined([*own.restrictions, *travelled.restrictions], of_license),
        url=own.url or travelled.url,
        benchmark=own.benchmark or travelled.benchmark,
    )


def _travelled(path: Path) -> Terms:
    """Of a `dataset.json` that hubkit wrote; any other file of that name says nothing."""
    if not path.is_file():
        return Terms()
    try:
        data = json_text.load(path)
        if not isinstance(data, dict) or data.get("note") != NOTE:
            return Terms()
        return codec.decode(Terms, data.get("terms"), f"{path}: terms")
    except (OSError, ValueError, UsageError) as error:
        raise DataError(
            f"{path}: it does not say under which terms the data come ({error})",
            "prepare the data again",
        ) from None


def _joined(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*one, *other]))


def check_accepted(name: str, terms: Terms, accepted: Sequence[str]) -> None:
    """Raises RefusedError when the data forbid to train and publish, and the release file does not
    accept that with a reason."""
    open_ = [one for one in terms.restrictions if one not in accepted]
    if not open_:
        return
    said = "".join(f"\n  {one}: {RESTRICTIONS.get(one, 'see the terms')}" for one in open_)
    where = f" (see {terms.url})" if terms.url else ""
    items = ", ".join(f"{{term: {one}, reason: ...}}" for one in open_)
    raise RefusedError(
        f"the terms of {name} do not allow training on it and publishing the result:{said}",
        f"train on other data; or, with the permission of the data's owners{where}, state in the "
        f"release file: data.accept_terms: [{items}]",
    )
