"""Datasets of the Hugging Face Hub, downloaded with its own client."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, EnvironmentFailure, HubkitError, RemoteError, UsageError
from ..sdk import Run

_FORM = re.compile(
    r"hf:(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[\w-][\w.-]*))?(?:/(?P<path>.+))?",
    re.ASCII,
)
_TABLES = "hf_datasets"


@dataclass(frozen=True)
class Reference:
    """`hf:organisation/name[@revision][/path]`: a dataset, and a file in it."""

    name: str
    revision: str = ""
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises UsageError when `text` is not of that form, or its path leaves the dataset."""
        found = _FORM.fullmatch(text)
        if not found or ".." in (found["path"] or "").split("/"):
            raise UsageError(
                f"{text!r} names no dataset",
                "write hf:organisation/name, or hf:organisation/name/file.json",
            )
        return cls(found["name"], found["revision"] or "", found["path"] or "")


@dataclass(frozen=True)
class Downloaded:
    """`source` is the file that was named or the dataset's folder, below `folder`. `format` is
    what reads such a thing when nothing else is said, `license` what the dataset's card states."""

    source: Path
    folder: Path
    format: str
    license: str


def download(reference: Reference, endpoint: str, run: Run) -> Downloaded:
    """The dataset from the hub, or from the client's cache where that is up to date. The token is
    the client's own.

    Raises:
        EnvironmentFailure: the dataset is gated and access must be asked for, or is being reviewed;
            or the token is not accepted.
        RemoteError: there is no such dataset, or the hub failed.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    address = (endpoint or constants.ENDPOINT).rstrip("/")
    run.note(f"downloading the dataset {reference.name} from {address}")
    try:
        api = HfApi(endpoint=endpoint or None)
        place = api.snapshot_download(
            reference.name, repo_type="dataset", revision=reference.revision or None
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise _explained(error, f"{address}/datasets/{reference.name}") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2"):
            raise
        raise _explained(error, f"{address}/datasets/{reference.name}") from None
    folder = Path(place)
    source = folder / reference.path if reference.path else folder
    if not source.exists():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:20])
        raise DataError(
            f"hf:{reference.name} has no file {reference.path!r}", f"name one of: {there}"
        )
    tables = source.is_dir() or source.suffix not in (".json", ".jsonl")
    return Downloaded(source, folder, _TABLES if tables else "llava_json", _license(folder))


def _explained(error: BaseException, page: str) -> HubkitError:
    """What the failure means, without the token."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if not isinstance(error, HfHubHTTPError) or error.response is None:
        return RemoteError(
            _hidden(f"{page}: {type(error).__name__}: {error}"),
            "check the network, then run the same command again",
        )
    status, said = error.response.status_code, _hidden(error.server_message or "")
    told = f"{page}: the hub answered {status}{f' ({said})' if said else ''}"
    if isinstance(error, GatedRepoError):
        if "awaiting" in said.lower():
            return EnvironmentFailure(
                f"{told}: the dataset is gated", f"your request is awaiting review: see {page}"
            )
        log_in = "log in (`hf auth login`), then " if status == 401 else ""
        return EnvironmentFailure(
            f"{told}: the dataset is gated", f"{log_in}request access at {page}"
        )
    if status in (401, 403) and not isinstance(error, RepositoryNotFoundError):
        return EnvironmentFailure(
            f"{told}: it does not accept the token",
            "log in with `hf auth login`, or correct HF_TOKEN",
        )
    if isinstance(error, RepositoryNotFoundError):
        return RemoteError(
            f"{told}: there is no such dataset",
            "check the name; private datasets of others look as if not there",
        )
    return RemoteError(told, "run the same command again")


def _hidden(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return text.replace(token, "***") if token else text


def _license(folder: Path) -> str:
    """Of the dataset's card; empty when it states none."""
    from huggingface_hub import DatasetCard

    try:
        stated = DatasetCard.load(folder / "README.md").data.license
    except (OSError, ValueError):
        return ""
    stated = stated[0] if isinstance(stated, list) and stated else stated
    return stated if isinstance(stated, str) else ""
