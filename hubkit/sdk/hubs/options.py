"""Options that every hub with an API has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .token import check_token_options


@dataclass(frozen=True)
class ApiOptions:
    """`endpoint` is a mirror or an own server; empty: the client's own setting. `private` is for a
    repository that is made. `message` is the commit's; empty: the release's name and tag. `replace`
    allows a first release over files that are no release. The token comes from the variable
    `token_env`, the file `token_file`, or the client's own store. `timeout` is seconds without an
    answer, `patience` the seconds that may be spent on waiting before requests are repeated."""

    endpoint: str = ""
    private: bool = True
    message: str = ""
    replace: bool = False
    token_env: str = ""
    token_file: str = ""
    timeout: float = 60.0
    patience: float = 300.0

    def __post_init__(self) -> None:
        check_token_options(self.token_env, self.token_file)
        if self.timeout <= 0 or self.patience < 0:
            raise ValueError("timeout must be positive and patience not negative")
        if self.endpoint and not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", self.endpoint):
            raise ValueError(
                "endpoint must be an http(s) URL without credentials; its value is not shown"
            )
