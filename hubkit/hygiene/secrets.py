"""Credentials in text: where they are, never what they are.

The forms are those that the services themselves document for their tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Form:
    """What one kind of credential looks like. `needle` is text, in lower case, without which
    `pattern` cannot match: most files have none, and are then not searched for it. `inside`: the
    match may begin within a word."""

    kind: str
    needle: bytes
    pattern: str
    flags: int = 0
    inside: bool = False

    @cached_property
    def compiled(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern.encode(), self.flags)


_I = re.IGNORECASE
_SET = r"(?:\\?[\"'`])?\s{0,3}(?::=|=>|[:=,])\s{0,3}(?:\\?[\"'`])?"
"""Between the name of a setting and its value."""

FORMS: tuple[Form, ...] = (
    Form("a private key", b"private key", r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    Form("a private key", b"putty-user-key", r"PuTTY-User-Key-File-\d"),
    Form("a private key", b"age-secret-key-", r"AGE-SECRET-KEY-1[0-9A-Z]{40,}"),
    Form("a Hugging Face token", b"hf_", r"hf_[A-Za-z0-9]{30,}"),
    Form("a Hugging Face token", b"api_org_", r"api_org_[A-Za-z0-9]{30,}"),
    Form("a ModelScope token", b"ms-", r"ms-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    Form("a GitHub token", b"gh", r"gh[pousr]_[A-Za-z0-9]{36,}"),
    Form("a GitHub token", b"github_pat_", r"github_pat_[A-Za-z0-9_]{50,}"),
    Form("a GitLab token", b"glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),
    Form("an Anthropic API key", b"sk-ant-", r"sk-ant-[A-Za-z0-9_-]{20,}"),
    Form("an OpenRouter API key", b"sk-or-", r"sk-or-(?:v\d-)?[A-Za-z0-9]{32,}"),
    Form("an API key", b"sk-", r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,}"),
    Form("an API key", b"sk-", r"sk-(?:[a-z]{1,12}-){0,4}[A-Za-z0-9_]{32,}"),
    Form("an API key", b"gsk_", r"gsk_[A-Za-z0-9]{40,}"),
    Form("an API key", b"xai-", r"xai-[A-Za-z0-9]{60,}"),
    Form("an API key", b"pplx-", r"pplx-[A-Za-z0-9]{40,}"),
    Form("an API key", b"r8_", r"r8_[A-Za-z0-9]{37,}"),
    Form("an AWS access key", b"a", r"A(?:KIA|SIA|BIA|CCA)[0-9A-Z]{16}\b"),
    Form(
        "an AWS secret key",
        b"secret",
        rf"(?:aws|secret)[\w.-]{{0,40}}{_SET}[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+=])",
        _I,
    ),
    Form("an Azure key", b"key=", r"(?:Account|SharedAccess)Key=[A-Za-z0-9/+]{40,90}={0,2}", _I),
    Form("an Azure key", b"jqqj99", r"JQQJ99[A-Za-z0-9]{10,}", inside=True),
    Form("an Azure key", b"8q~", r"8Q~[\w.~-]{31,}", inside=True),
    Form(
        "an Azure key",
        b"key",
        rf"(?:azure[\w.-]{{0,40}}key|subscription-key)[\w.-]{{0,8}}{_SET}[0-9a-f]{{32}}\b",
        _I,
    ),
    Form("an Azure signature (SAS)", b"sig=", r"(?<![A-Za-z0-9])sig=[A-Za-z0-9%/+]{40,}", _I),
    Form("a Google API key", b"aiza", r"AIza[0-9A-Za-z_-]{35}"),
    Form("a Google token", b"ya29.", r"ya29\.[0-9A-Za-z_-]{20,}"),
    Form("a Google client secret", b"gocspx-", r"GOCSPX-[0-9A-Za-z_-]{20,}"),
    Form("an Alibaba Cloud access key", b"ltai", r"LTAI[A-Za-z0-9]{12,24}\b"),
    Form("a Tencent Cloud access key", b"akid", r"AKID[A-Za-z0-9]{32}\b"),
    Form("an npm token", b"npm_", r"npm_[A-Za-z0-9]{36}"),
    Form("a PyPI token", b"pypi-age", r"pypi-AgE[A-Za-z0-9_-]{30,}"),
    Form("a Docker token", b"dckr_pat_", r"dckr_pat_[A-Za-z0-9_-]{20,}"),
    Form("a Databricks token", b"dapi", r"dapi[0-9a-f]{32}"),
    Form("a DigitalOcean token", b"do", r"do[opr]_v1_[0-9a-f]{60,}"),
    Form("a Stripe key", b"k_", r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    Form("a Stripe key", b"whsec_", r"whsec_[A-Za-z0-9+/]{30,}"),
    Form("a Slack token", b"xox", r"xox[abeoprs]-[0-9A-Za-z-]{10,}"),
    Form("a Slack token", b"xapp-", r"xapp-\d-[0-9A-Za-z-]{10,}"),
    Form(
        "a Slack webhook",
        b"hooks.slack.com",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+-]{16,}",
        _I,
    ),
    Form("a Discord webhook", b"/api/web", r"/api/webhooks/\d{10,20}/[\w-]{20,}", inside=True),
    Form(
        "a Discord token",
        b".",
        r"[MNO](?=[A-Za-z_-]{0,26}\d)[\w-]{22,28}\.[\w-]{6}\.[\w-]{27,}",
    ),
    Form("a SendGrid key", b"sg.", r"SG\.[\w-]{16,}\.[\w-]{32,}"),
    Form("a Telegram bot token", b":aa", r":AA(?<=\d{8}:AA)[\w-]{32,}", inside=True),
    Form("a Twilio key", b"sk", r"SK[0-9a-f]{32}\b"),
    Form(
        "a login of a .netrc file",
        b"password",
        r"(?:machine\s{1,9}[\w-]{0,63}[\d.][\w.-]{0,253}|default)"
        r"(?:\s|\\[nrt]){1,9}login\s{1,9}\S{1,99}(?:\s|\\[nrt]){1,9}password\s{1,9}\S",
        _I,
    ),
    Form("a Weights & Biases key", b"wandb_v1_", r"wandb_v1_[A-Za-z0-9_]{20,}"),
    Form(
        "a Weights & Biases key",
        b"wandb",
        r"wandb[^\n@/]{0,40}?(?<![0-9a-z])[0-9a-f]{40}(?![0-9a-z])",
        _I,
    ),
    Form(
        "a JSON Web Token",
        b"eyj",
        r"eyJ(?:(?<![\w-]eyJ)|(?<=\\[nrt]eyJ))[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    Form(
        "a password in a URL",
        b"://",
        r"://[^\s/:@\"'<>{}$]{1,99}:[^\s/@\"'<>{}$]{3,255}@[A-Za-z0-9\[]",
        inside=True,
    ),
    Form(
        "a bearer token",
        b"bearer",
        r"bearer[\s\"':=]{1,4}(?=[A-Za-z._~+/-]{0,99}\d)[A-Za-z0-9._~+/-]{20,}",
        _I,
    ),
    Form("a login of HTTP", b"basic", r"authorization\W{1,4}basic\s{1,3}[A-Za-z0-9+/]{12,}", _I),
    Form(
        "a secret beside its name",
        b"",
        r"(?:api_?key|secret_?key|client_?secret|access_?token|auth_?token|private_?token|passwd"
        rf"|password){_SET}(?=[A-Za-z_+/.=-]{{0,99}}\d)[A-Za-z0-9_+/=-]{{20,}}",
        _I,
    ),
)
"""The more telling form first: of two that match the same text, it names the finding."""


def secrets(content: bytes) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of everything that looks like a credential, in the order of the text."""
    lowered = content.lower()
    found: list[tuple[int, int, int]] = []
    for rank, form in enumerate(FORMS):
        if form.needle in lowered:
            found += (
                (*match.span(), rank)
                for match in form.compiled.finditer(content)
                if form.inside or begins(content, match.start())
            )
    yield from _first_of_overlapping(sorted(found))


def _first_of_overlapping(found: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, str]]:
    held: tuple[int, int, int] | None = None
    for start, end, rank in found:
        if held is not None and start < held[1]:
            held = (held[0], max(held[1], end), min(held[2], rank))
            continue
        if held is not None:
            yield held[0], held[1], FORMS[held[2]].kind
        held = (start, end, rank)
    if held is not None:
        yield held[0], held[1], FORMS[held[2]].kind


def begins(content: bytes, at: int) -> bool:
    """Whether a word begins at `at`: after no letter or digit, unless that belongs to an escape
    such as the n of a written-out line end."""
    before = content[max(at - 2, 0) : at]
    if not before or not (before[-1:].isalnum() or before[-1:] == b"_"):
        return True
    return before[:1] == b"\\" and before[-1:] in b"nrtbfv0"
