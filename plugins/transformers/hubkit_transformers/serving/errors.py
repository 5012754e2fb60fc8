"""What a client is told when its request cannot be answered, in OpenAI's form."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any


class Refusal(Exception):
    """`field` names the part of the request that is at fault, "" when none is."""

    def __init__(
        self,
        message: str,
        field: str = "",
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.field, self.status, self.code = message, field, status, code

    def to_json(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.field or None,
                "code": self.code or None,
            }
        }
