"""HuggingFaceHub: a release as one commit and one tag of a model repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    EnvironmentFailure,
    HubkitError,
    Journal,
    Login,
    Problem,
    PublishInput,
    PublishReceipt,
    RemoteFile,
    Run,
    SilentRun,
    Withdrawal,
)

from .options import Options, parse, repository
from .token import LOG_IN, find


class HuggingFaceHub:
    """Publishes to huggingface.co, a mirror or an own server: `huggingface:organisation/name` or `hf:organisation/name`. A
    repository that is not there is made, private unless told otherwise."""

    kind: ClassVar[str] = "hub"
    name: ClassVar[str] = "huggingface"
    sdk: ClassVar[str] = "1.0"
    schemes: ClassVar[tuple[str, ...]] = ("huggingface", "hf")
    Options: ClassVar[type] = Options

    def repository(self, target: str) -> str:
        return repository(target)

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        from .session import opened

        name, settings = repository(target), parse(options)
        try:
            with opened(name, settings, SilentRun()) as session:
                return _may_write(session.api.whoami(), name, session.token.source)
        except HubkitError as error:
            return (Problem(name, error.message, error.remedy),)

    def login(self, options: Mapping[str, Any]) -> Login:
        from .session import opened

        settings = parse(options)
        try:
            token = find(settings)
            if not token.value:
                return Login("none", "", token.source, LOG_IN)
            with opened("", settings, SilentRun()) as session:
                return Login("ok", str(session.api.whoami()["name"]), token.source, "")
        except EnvironmentFailure as error:
            return Login("rejected", "", error.message, error.remedy)

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        from .publish import publish
        from .session import opened

        name = repository(job.target)
        with opened(name, parse(job.options), run, Journal(job.journal, self.name, job.target)) as session:
            landed = publish(session, job)
            page = f"discussions/{landed.pull_request}" if landed.pull_request else f"tree/{job.tag}"
            return PublishReceipt(self.name, job.target, name, landed.commit, job.tag, f"{session.place}/{page}")

    def files(self, target: str, revision: str, options: Mapping[str, Any], run: Run) -> tuple[RemoteFile, ...]:
        from .read import files
        from .session import opened

        with opened(repository(target), parse(options), run, anonymous=True) as session:
            return files(session, revision)

    def download(self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run) -> None:
        from .read import download
        from .session import opened

        with opened(repository(target), parse(options), run, anonymous=True) as session:
            download(session, revision, out, run)

    def withdraw(self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run) -> Withdrawal:
        from .session import opened
        from .withdraw import withdraw

        with opened(repository(target), parse(options), run) as session:
            return withdraw(session, receipt)


def _may_write(user: Mapping[str, Any], name: str, source: str) -> tuple[Problem, ...]:
    """From `whoami`: whether this user may write below the namespace, with this token.

    `anyNamespace` is the rehearsal hub's: there, organisations are not made before their repositories.
    """
    namespace = name.partition("/")[0]
    roles = {org.get("name"): org.get("roleInOrg", "") for org in user.get("orgs", ())}
    if namespace != user.get("name") and namespace not in roles and not user.get("anyNamespace"):
        message = f"{user.get('name')} (token from {source}) is no member of {namespace}"
        return (Problem(name, message, f"join {namespace}, publish to {user.get('name')}/..., or use another token"),)
    role = (user.get("auth") or {}).get("accessToken", {}).get("role", "")
    if role == "read" or roles.get(namespace) == "read":
        return (Problem(name, f"the token from {source} may only read", LOG_IN),)
    return ()
