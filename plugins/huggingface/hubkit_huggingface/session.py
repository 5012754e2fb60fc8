"""One repository at one hub, opened: the official client with our terms, and questions that do not
mind a missing answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from hubkit.sdk import EnvironmentFailure, HubkitError, Journal, Run
from hubkit.sdk.hubs import ApiSession, Doubt, check_endpoint, refuse_offline
from hubkit.sdk.retry import TRANSIENT, Patience

from .client import LOST, Terms, installed
from .explain import explain
from .options import Options
from .token import LOG_IN, find

_OVERTAKEN = (409, 412)
"""What a hub answers to a commit whose parent is no longer the head: also to the repetition of one
that took."""


@dataclass(kw_only=True)
class Session(ApiSession):
    log_in: ClassVar[str] = LOG_IN
    options: Options
    terms: Terms

    @property
    def place(self) -> str:
        return f"{self.endpoint}/{self.repository}"

    def explained(self, error: BaseException) -> HubkitError:
        return explain(error, self.place, self.token, self.journal.done)

    def doubt(self, error: BaseException) -> Doubt:
        status = _status(error)
        if status in _OVERTAKEN:
            return "overtaken"
        return "lost" if isinstance(error, LOST) or status in TRANSIENT else "none"

    def info(self, revision: str = "") -> Any:
        """ModelInfo at a revision; None when repository or revision is not there."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            return self.api.repo_info(self.repository, revision=revision or None)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            if _status(error) == 401:  # the client takes it for a missing repository
                raise self.explained(error) from None
            return None

    def tree(self, revision: str) -> dict[str, Any]:
        """RepoFile by path."""
        from huggingface_hub.hf_api import RepoFile

        entries = self.api.list_repo_tree(self.repository, revision=revision, recursive=True)
        return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


@contextmanager
def opened(
    repository: str, options: Options, run: Run, journal: Journal, *, anonymous: bool = False
) -> Iterator[Session]:
    """The repository, ready to be worked with; every failure inside the block leaves it as an
    explained HubkitError.

    Raises:
        EnvironmentFailure: hubs are not to be asked (offline), or there is no token and not
            `anonymous`.
    """
    import httpx2
    from huggingface_hub import HfApi, constants

    named = "the option `endpoint`" if options.endpoint else "HF_ENDPOINT"
    endpoint = check_endpoint(options.endpoint or constants.ENDPOINT, named)
    refuse_offline(endpoint)
    if constants.is_offline_mode():
        raise EnvironmentFailure(
            f"HF_HUB_OFFLINE is set: {endpoint} is not asked",
            "unset HF_HUB_OFFLINE, then run again",
        )
    token = find(options, endpoint, run)
    if not token.value and not anonymous:
        raise EnvironmentFailure(f"{endpoint}: {token.source}", LOG_IN)
    terms = Terms(
        httpx2.URL(endpoint), token, options.timeout, Patience(options.patience, run), run
    )
    session = Session(
        api=HfApi(endpoint=endpoint, token=token.value or False),
        endpoint=endpoint,
        repository=repository,
        options=options,
        token=token,
        run=run,
        patience=terms.patience,
        journal=journal,
        terms=terms,
    )
    with installed(terms, xet=False), session.explaining():
        yield session
