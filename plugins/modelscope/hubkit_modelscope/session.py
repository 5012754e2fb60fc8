"""One repository at ModelScope, opened, and questions that do not mind a missing answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from hubkit.sdk import EnvironmentFailure, HubkitError, Journal, RemoteFile, Run
from hubkit.sdk.hubs import ApiSession, Doubt, check_endpoint, log_harmless, refuse_offline
from hubkit.sdk.install import install
from hubkit.sdk.retry import TRANSIENT, Patience

from .explain import explain
from .options import Options
from .token import LOG_IN, find

MODEL = "model"


@dataclass(frozen=True)
class Listed:
    """A file as ModelScope lists it. `revision` is the commit that last changed it, where the hub
    says so."""

    file: RemoteFile
    revision: str


@dataclass(kw_only=True)
class Session(ApiSession):
    log_in: ClassVar[str] = LOG_IN
    options: Options

    @property
    def place(self) -> str:
        return f"{self.endpoint}/models/{self.repository}"

    def explained(self, error: BaseException) -> HubkitError:
        return explain(error, self.place, self.token, self.journal.done)

    def doubt(self, error: BaseException) -> Doubt:
        """Commits name no parent here, so that nobody can overtake: a conflict is as good as a lost
        answer."""
        from modelscope_hub.errors import AlreadyExistsError, APIError, NetworkError

        from .client import LOST

        if isinstance(error, HubkitError):
            return "none"
        if isinstance(error, APIError) and error.status_code:
            taken = isinstance(error, AlreadyExistsError) or error.status_code == 409
            return "lost" if taken or error.status_code in TRANSIENT else "none"
        lost = isinstance(error, (*LOST, NetworkError, AlreadyExistsError, ValueError))
        return "lost" if lost else "none"

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
        return {
            str(one["Revision"])
            for one in self.api.legacy.list_revisions_detail(self.repository, MODEL)[which]
        }

    def listing(self, revision: str) -> dict[str, Listed]:
        """Files by path."""
        entries = self.api.legacy.list_repo_files(self.repository, MODEL, revision=revision)
        files = [entry for entry in entries if (entry.get("Type") or "blob") != "tree"]
        return {entry["Path"]: _listed(entry) for entry in files}


def _listed(entry: dict[str, Any]) -> Listed:
    file = RemoteFile(
        str(entry["Path"]), int(entry.get("Size") or 0), str(entry.get("Sha256") or "").lower()
    )
    return Listed(file, str(entry.get("Revision") or ""))


@contextmanager
def opened(
    repository: str, options: Options, run: Run, journal: Journal, *, anonymous: bool = False
) -> Iterator[Session]:
    """The repository, ready to be worked with; every failure inside the block leaves it as an
    explained HubkitError.

    Raises:
        EnvironmentFailure: the client is not installed, hubs are not to be asked (offline), or
            there is no token and not `anonymous`.
    """
    try:
        from modelscope_hub.config import HubConfig

        from .client import Api, Terms
    except ImportError as error:
        raise EnvironmentFailure(
            f"the ModelScope client is not installed: {error}", install("modelscope")
        ) from None
    named = "the option `endpoint`" if options.endpoint else "MODELSCOPE_ENDPOINT"
    endpoint = check_endpoint(options.endpoint or str(HubConfig(token="").endpoint), named)
    refuse_offline(endpoint)
    token = find(options)
    if not token.value and not anonymous:
        raise EnvironmentFailure(f"{endpoint}: {token.source}", LOG_IN)
    log_harmless("modelscope_hub")
    patience = Patience(options.patience, run)
    session = Session(
        api=Api(Terms(endpoint, token.value, options.timeout, patience, run)),
        endpoint=endpoint,
        repository=repository,
        options=options,
        token=token,
        run=run,
        patience=patience,
        journal=journal,
    )
    with session.explaining():
        yield session
