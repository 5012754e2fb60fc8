"""One repository at ModelScope, opened, and questions that do not mind a missing answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hubkit.sdk import EnvironmentFailure, HubkitError, Journal, RemoteError, RemoteFile, Run
from hubkit.sdk.transfer import TRANSIENT, Patience

from .explain import explain
from .options import Options
from .token import LOG_IN, Token, find

T = TypeVar("T")
MODEL = "model"
_EXTRA = "the ModelScope client is not installed"


@dataclass(frozen=True)
class Listed:
    """A file as ModelScope lists it. `revision` is the commit that last changed it, where the hub says so."""

    file: RemoteFile
    revision: str


@dataclass
class Session:
    api: Any
    repository: str
    options: Options
    token: Token
    run: Run
    patience: Patience
    endpoint: str
    journal: Journal = field(default_factory=lambda: Journal(None, "modelscope", ""))

    @property
    def place(self) -> str:
        return f"{self.endpoint}/models/{self.repository}"

    def explained(self, error: BaseException) -> HubkitError:
        return explain(error, self.place, self.token, self.journal.done)

    def change(self, step: str, act: Callable[[], Any], landed: Callable[[], T | None], **facts: Any) -> T:
        """Journals and does one change, then asks `landed` for it: not None once the hub has it. When the answer is lost, it is
        asked before the change is tried again."""
        with self.journal.step(step, **facts) as learned:
            attempt = 0
            while True:
                attempt += 1
                lost = None
                try:
                    act()
                except Exception as error:
                    lost = self.explained(error)
                    if not _in_doubt(error):
                        raise lost from None
                    learned["answer"] = lost.message
                if (result := landed()) is not None:
                    return result
                why = lost.message if lost else f"{self.place}: the hub says that it did `{step}`, and does not show it"
                self.patience.wait(attempt, why)

    def info(self) -> dict[str, Any] | None:
        """The repository; None when there is none that this token may see."""
        from modelscope_hub.errors import NotExistError

        try:
            return dict(self.api.legacy.get_repo_info(self.repository, MODEL))
        except NotExistError:
            return None

    def branches(self) -> set[str]:
        return self._names(0)

    def tags(self) -> set[str]:
        return self._names(1)

    def _names(self, which: int) -> set[str]:
        return {str(one["Revision"]) for one in self.api.legacy.list_revisions_detail(self.repository, MODEL)[which]}

    def listing(self, revision: str) -> dict[str, Listed]:
        """Files by path."""
        entries = self.api.legacy.list_repo_files(self.repository, MODEL, revision=revision)
        files = [entry for entry in entries if (entry.get("Type") or "blob") != "tree"]
        return {entry["Path"]: _listed(entry) for entry in files}


def _listed(entry: dict[str, Any]) -> Listed:
    file = RemoteFile(str(entry["Path"]), int(entry.get("Size") or 0), str(entry.get("Sha256") or "").lower())
    return Listed(file, str(entry.get("Revision") or ""))


def _in_doubt(error: BaseException) -> bool:
    """The change may have been made although there is no good answer."""
    from modelscope_hub.errors import AlreadyExistsError, APIError, NetworkError

    from .client import LOST

    lost = isinstance(error, (*LOST, NetworkError, AlreadyExistsError, ValueError)) and not isinstance(error, HubkitError)
    return lost or (isinstance(error, APIError) and error.status_code in {*TRANSIENT, 409})


@contextmanager
def opened(
    repository: str, options: Options, run: Run, journal: Journal | None = None, *, anonymous: bool = False
) -> Iterator[Session]:
    """The repository, ready to be worked with; every failure inside the block leaves it as an explained HubkitError.

    Raises:
        EnvironmentFailure: the client is not installed, or there is no token and not `anonymous`.
    """
    try:
        from modelscope_hub.config import HubConfig

        from .client import Api, Terms
    except ImportError as error:
        raise EnvironmentFailure(f"{_EXTRA}: {error}", "pip install 'hubkit[modelscope]'") from None
    token = find(options)
    endpoint = options.endpoint.rstrip("/") or str(HubConfig(token="").endpoint)
    if not token.value and not anonymous:
        raise EnvironmentFailure(f"no token for {endpoint}: it came from {token.source}", LOG_IN)
    patience = Patience(options.patience, run)
    api = Api(Terms(endpoint, token.value, options.timeout, patience, run))
    session = Session(api, repository, options, token, run, patience, endpoint)
    session.journal = journal or session.journal
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
