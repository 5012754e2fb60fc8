"""One repository at one hub, opened: the official client with our terms, and questions that do not mind a missing answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hubkit.sdk import EnvironmentFailure, HubkitError, Journal, RemoteError, Run
from hubkit.sdk.transfer import TRANSIENT, Patience

from .client import LOST, Terms, installed
from .explain import AGAIN, explain
from .options import Options
from .token import LOG_IN, Token, find

T = TypeVar("T")
_OVERTAKEN = (409, 412)
"""What a hub answers to a commit whose parent is no longer the head: also to the repetition of one that took."""


@dataclass
class Session:
    api: Any
    repository: str
    options: Options
    token: Token
    run: Run
    terms: Terms
    journal: Journal = field(default_factory=lambda: Journal(None, "huggingface", ""))

    @property
    def place(self) -> str:
        return f"{self.api.endpoint}/{self.repository}"

    def explained(self, error: BaseException) -> HubkitError:
        return explain(error, self.place, self.token, self.journal.done)

    def change(self, step: str, act: Callable[[], T | None], landed: Callable[[], T | None], **facts: Any) -> T:
        """Journals and does one change; `act` gives its result, or None when that is to be asked for. When its answer is lost,
        `landed` says whether it took (not None), before it is tried again."""
        with self.journal.step(step, **facts) as learned:
            attempt = 0
            while True:
                attempt, overtaken = attempt + 1, False
                try:
                    if (result := act()) is not None:
                        return result
                    found: HubkitError = RemoteError(
                        f"{self.place}: the hub says that it did `{step}`, and does not show it", AGAIN
                    )
                except Exception as error:
                    found = self.explained(error)
                    if not _in_doubt(error):
                        raise found from None
                    overtaken = _status(error) in _OVERTAKEN
                if (result := landed()) is not None:
                    learned["answer"] = "lost; the hub has it"
                    return result
                if overtaken:
                    raise found from None
                self.terms.patience.wait(attempt, found.message)

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


def _in_doubt(error: BaseException) -> bool:
    """The change may have been made although there is no good answer."""
    status = _status(error)
    return isinstance(error, LOST) or status in TRANSIENT or status in _OVERTAKEN


@contextmanager
def opened(
    repository: str, options: Options, run: Run, journal: Journal | None = None, *, anonymous: bool = False
) -> Iterator[Session]:
    """The repository, ready to be worked with; every failure inside the block leaves it as an explained HubkitError.

    Raises:
        EnvironmentFailure: HF_HUB_OFFLINE is set, or there is no token and not `anonymous`.
    """
    import httpx2
    from huggingface_hub import HfApi, constants

    if constants.is_offline_mode():
        raise EnvironmentFailure("HF_HUB_OFFLINE is set: the hub is not asked", "unset HF_HUB_OFFLINE, then run again")
    token = find(options)
    if not token.value and not anonymous:
        raise EnvironmentFailure(f"no token for {options.endpoint or constants.ENDPOINT}: it came from {token.source}", LOG_IN)
    endpoint = (options.endpoint or constants.ENDPOINT).rstrip("/")
    terms = Terms(httpx2.URL(endpoint), token, options.timeout, Patience(options.patience, run), run)
    session = Session(HfApi(endpoint=endpoint, token=token.value or False), repository, options, token, run, terms)
    session.journal = journal or session.journal
    with installed(terms, xet=False):
        try:
            yield session
        except HubkitError as error:
            raise _with_progress(error, session) from None
        except Exception as error:
            raise session.explained(error) from None


def _with_progress(error: HubkitError, session: Session) -> HubkitError:
    if isinstance(error, RemoteError) and "done before" not in error.message and "nothing was changed" not in error.message:
        return session.explained(error)
    return error
