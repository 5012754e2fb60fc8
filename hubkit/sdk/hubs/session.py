"""One repository at one hub, opened: what its failures mean, and changes whose answer may be
lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from ..errors import HubkitError, RemoteError
from ..journal import Journal
from ..retry import Patience
from ..run import Run
from .explain import AGAIN, causes
from .options import ApiOptions
from .token import Token

T = TypeVar("T")
_LINKS = 3
"""How often links are asked for."""
Doubt = Literal["none", "lost", "overtaken"]
"""Whether a change that failed may have been made all the same. overtaken: somebody's change came
first, perhaps our own."""


@dataclass(kw_only=True)
class ApiSession(ABC):
    """`api` is the official client; `log_in` says how one gives it a token."""

    log_in: ClassVar[str]
    api: Any
    endpoint: str
    repository: str
    options: ApiOptions
    token: Token
    run: Run
    patience: Patience
    journal: Journal

    @property
    @abstractmethod
    def place(self) -> str:
        """The repository's page."""

    @abstractmethod
    def explained(self, error: BaseException) -> HubkitError:
        """The error to raise for what the client raised."""

    @abstractmethod
    def doubt(self, error: BaseException) -> Doubt:
        """Of what the client raised."""

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Every failure inside leaves it as an explained HubkitError that says what was reached."""
        try:
            yield
        except RemoteError as error:
            told = "done before" in error.message or "nothing was changed" in error.message
            raise (error if told else self.explained(error)) from None
        except HubkitError:
            raise
        except Exception as error:
            raise self.explained(error) from None

    def with_fresh_links(
        self, send: Callable[[], T], is_stale: Callable[[BaseException], bool]
    ) -> T:
        """Calls `send`, which asks the hub for signed links and uses them; again when a link is not
        valid any more, as after a restart of the hub."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return send()
            except Exception as error:
                if attempt == _LINKS or not any(map(is_stale, causes(error))):
                    raise
            self.patience.wait(attempt, f"{self.place}: a link for an upload is not valid any more")

    def change(
        self, step: str, act: Callable[[], T | None], landed: Callable[[], T | None], **facts: Any
    ) -> T:
        """Journals and does one change; `act` gives its result, or None when the hub is to be asked
        for it. When its answer is lost, `landed` says whether it took (not None), before it is
        tried again."""
        with self.journal.step(step, **facts) as learned:
            attempt = 0
            while True:
                attempt, doubt = attempt + 1, "none"
                found: HubkitError = RemoteError(
                    f"{self.place}: the hub says that it did `{step}`, and does not show it", AGAIN
                )
                try:
                    if (result := act()) is not None:
                        return result
                except Exception as error:
                    found, doubt = self.explained(error), self.doubt(error)
                    if doubt == "none":
                        raise found from None
                if (result := landed()) is not None:
                    if doubt != "none":
                        learned["answer"] = "lost; the hub has it"
                    return result
                if doubt == "overtaken":
                    raise found from None
                self.patience.wait(attempt, found.message)
