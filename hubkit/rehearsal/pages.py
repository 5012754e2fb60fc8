"""The hub's web pages: rendered here, with one style sheet, no script and nothing from
elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..files import front_matter
from . import card
from .database import Repository
from .hub import File, Folder
from .identity import COOKIE
from .refusal import Refusal
from .repository import DEFAULT_BRANCH, GitRepository
from .web import Call, call_of, endpoint, read

_HERE = Path(__file__).with_name("html")
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; base-uri "
    "'none'; frame-ancestors 'none'"
)
_EVENTS, _COMMITS = 100, 50


def routes() -> Iterator[Route]:
    yield Route("/", endpoint(_home))
    yield Route("/static/style.css", endpoint(_style))
    yield Route("/events", endpoint(_events))
    yield Route("/login", endpoint(_login_form))
    yield Route("/login", _login, methods=["POST"])
    yield Route("/logout", endpoint(_logout), methods=["POST"])
    for prefix in ("/{owner}/{name}", "/models/{owner}/{name}"):
        yield Route(prefix, endpoint(_card))
        yield Route(prefix + "/tree/{revision}", endpoint(_files))
        yield Route(prefix + "/tree/{revision}/{path:path}", endpoint(_files))
        yield Route(prefix + "/commits/{revision}", endpoint(_commits))
        yield Route(prefix + "/commit/{revision}", endpoint(_files))
        yield Route(prefix + "/releases", endpoint(_releases))
        yield Route(prefix + "/discussions", endpoint(_pulls))
        yield Route(prefix + "/discussions/{number:int}", endpoint(_pulls))


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size, moment=moment, segment=segment, path=quote)
    return environment


def size(count: int) -> str:
    """In the decimal units that both hubs show."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return (
        f"{count} B"
        if units[0] == "B"
        else f"{value:.3g} {units[0]}"
        if value < 100
        else f"{value:.0f} {units[0]}"
    )


def moment(date: str) -> str:
    """2026-01-31 12:00 UTC of an ISO 8601 time."""
    return datetime.fromisoformat(date.replace("Z", "+00:00")).strftime("%Y-%m-%d %H:%M UTC")


def segment(text: str) -> str:
    return quote(text, safe="")


def _page(call: Call, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    html = (
        _templates()
        .get_template(template)
        .render(user=call.user, base=call.base, status=status, **values)
    )
    headers = {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
    }
    return Response(html, status, {**headers, "cache-control": "no-store"}, "text/html")


def _style(call: Call) -> Response:
    return Response(
        (_HERE / "style.css").read_bytes(),
        headers={"cache-control": "max-age=300"},
        media_type="text/css",
    )


def _home(call: Call) -> Response:
    visible = [
        repository
        for repository in call.hub.database.repositories()
        if call.user or not repository.private
    ]
    search = call.query("search").strip()
    chosen = [repository for repository in visible if search.lower() in repository.name.lower()]
    hidden = 0 if call.user else len(call.hub.database.repositories()) - len(visible)
    return _page(
        call,
        "home.html",
        {"repositories": [_about(call, r) for r in chosen], "search": search, "hidden": hidden},
    )


def _about(call: Call, repository: Repository) -> dict[str, Any]:
    """What a repository's line in the list, and the head of its pages, show."""
    git = call.hub.git(repository)
    refs = git.refs()
    head = refs.get(f"refs/heads/{DEFAULT_BRANCH}") or next(iter(refs.values()), None)
    files = list(call.hub.files(repository, head).values()) if head else []
    about = card.metadata(call.hub, repository, head) if head else {}
    tags = sorted(ref.removeprefix("refs/tags/") for ref in refs if ref.startswith("refs/tags/"))
    branches = sorted(
        ref.removeprefix("refs/heads/") for ref in refs if ref.startswith("refs/heads/")
    )
    return {
        "name": repository.name,
        "private": repository.private,
        "changed": repository.changed,
        "license": about.get("license") or repository.license,
        "task": about.get("pipeline_tag"),
        "language": _listed(about.get("language")),
        "base": _listed(about.get("base_model")),
        "head": head,
        "branch": branches[0] if branches and DEFAULT_BRANCH not in branches else DEFAULT_BRANCH,
        "branches": branches,
        "tags": tags,
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "pulls": len(call.hub.database.pulls(repository.id)),
    }


def _listed(value: Any) -> list[str]:
    return (
        [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []
    )


def _card(call: Call) -> Response:
    repository = call.repository()
    about = _about(call, repository)
    html = ""
    if about["head"]:
        place = f"/{repository.name}/resolve/{about['head']}/"
        html = card.to_html(
            front_matter.split(card.read(call.hub, repository, about["head"]))[1],
            lambda path: _below(place, path),
        )
    return _page(call, "card.html", {"about": about, "tab": "card", "html": html})


def _below(place: str, path: str) -> str:
    path, _, _ = path.partition("?")
    return place + quote(path.removeprefix("./").lstrip("/"), safe="/#%")


def _files(call: Call) -> Response:
    repository = call.repository()
    revision = call.path("revision")
    git = call.hub.git(repository)
    commit = git.resolve(revision)
    folder = call.path("path").strip("/") if "path" in call.request.path_params else ""
    prefix = f"{folder}/" if folder else ""
    items: dict[str, File | Folder] = {
        **call.hub.folders(repository, commit),
        **call.hub.files(repository, commit),
    }
    if folder and not isinstance(items.get(folder), Folder):
        raise Refusal(404, f"{folder} is not a folder at {revision}", "EntryNotFound")
    here = [
        item
        for path, item in items.items()
        if path.startswith(prefix) and "/" not in path[len(prefix) :]
    ]
    folders = sorted(
        (item for item in here if isinstance(item, Folder)), key=lambda item: item.path
    )
    files = sorted((item for item in here if isinstance(item, File)), key=lambda item: item.path)
    values = {
        "folders": folders,
        "files": files,
        "folder": folder,
        "revision": revision,
        "commit": git.log(commit, 1)[0],
    }
    return _page(call, "files.html", {"about": _about(call, repository), "tab": "files", **values})


def _commits(call: Call) -> Response:
    repository, revision = call.repository(), call.path("revision")
    git = call.hub.git(repository)
    page = call.number("page", 0)
    found = git.log(git.resolve(revision), _COMMITS + 1, page * _COMMITS)
    more = page + 1 if len(found) > _COMMITS else None
    values = {"commits": found[:_COMMITS], "revision": revision, "more": more, "named": _named(git)}
    return _page(
        call, "commits.html", {"about": _about(call, repository), "tab": "commits", **values}
    )


def _named(git: GitRepository) -> dict[str, list[str]]:
    """Branches and tags of each commit."""
    names: dict[str, list[str]] = {}
    for ref, commit in git.refs().items():
        names.setdefault(commit, []).append(
            ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        )
    return names


def _releases(call: Call) -> Response:
    repository = call.repository()
    git = call.hub.git(repository)
    releases: list[dict[str, Any]] = []
    for ref, commit in git.refs().items():
        if ref.startswith("refs/tags/"):
            files = call.hub.files(repository, commit).values()
            facts = {"files": len(files), "bytes": sum(file.size for file in files)}
            releases.append(
                {"tag": ref.removeprefix("refs/tags/"), "commit": git.log(commit, 1)[0], **facts}
            )
    releases.sort(key=lambda release: release["commit"].date, reverse=True)
    return _page(
        call,
        "releases.html",
        {"about": _about(call, repository), "tab": "releases", "releases": releases},
    )


def _pulls(call: Call) -> Response:
    repository = call.repository()
    number = int(call.path("number")) if "number" in call.request.path_params else None
    pulls = call.hub.database.pulls(repository.id, number)
    if number and not pulls:
        raise Refusal(404, f"there is no pull request {number}")
    heads = call.hub.git(repository).refs()
    return _page(
        call,
        "pulls.html",
        {"about": _about(call, repository), "tab": "pulls", "pulls": pulls, "heads": heads},
    )


def _events(call: Call) -> Response:
    before = call.number("before", 0) or None
    events = call.hub.database.events(_EVENTS, before)
    shown = (
        events if call.user else [event for event in events if _is_public(call, event.repository)]
    )
    more = events[-1].id if len(events) == _EVENTS else None
    return _page(
        call, "events.html", {"events": shown, "more": more, "hidden": len(events) - len(shown)}
    )


def _is_public(call: Call, name: str) -> bool:
    repository = call.hub.database.repository(name)
    return repository is not None and not repository.private


def _login_form(call: Call) -> Response:
    return _page(call, "login.html", {"wrong": False})


async def _login(request: Request) -> Response:
    form = parse_qs((await read(request, 64 * 1024)).decode(errors="replace"))
    token = form.get("token", [""])[0].strip()
    call = call_of(request)
    if call.hub.tokens.user(token) is None:
        return await run_in_threadpool(_page, call, "login.html", {"wrong": True}, 403)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return answer


def _logout(call: Call) -> Response:
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE)
    return answer


def refusal_page(call: Call, status: int, message: str) -> Response:
    """What a browser gets instead of JSON."""
    return _page(call, "refusal.html", {"message": message}, status)
