"""git's smart http protocol: each request is one run of `git upload-pack` or `git receive-pack`,
streamed both ways.

A push with a write token to a name that is free creates a private repository without any commit:
the history is the pusher's own.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterator, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import Streaming
from .database import Repository
from .hub import Hub, require_write
from .identity import check_name
from .refusal import Refusal
from .repository import GitRepository
from .web import Call, call_of, stream

_BLOCK = 256 * 1024
_SERVICES = {"git-upload-pack": "upload-pack", "git-receive-pack": "receive-pack"}
Body = AsyncGenerator[bytes, None]
_NO_CACHE = {"cache-control": "no-cache, max-age=0, must-revalidate"}


def routes() -> Iterator[Route]:
    for prefix in ("/{owner}/{name}.git", "/models/{owner}/{name}.git", "/{owner}/{name}"):
        yield Route(f"{prefix}/info/refs", _advertise)
        yield Route(f"{prefix}/git-upload-pack", _rpc, methods=["POST"])
        yield Route(f"{prefix}/git-receive-pack", _rpc, methods=["POST"])


def _git(call: Call, service: str) -> GitRepository:
    """The repository to look at. Before a first push, a free name is an empty repository for those
    who may push there; looking creates nothing.

    Raises:
        Moved, Refusal: as `Hub.find`.
    """
    if service == "receive-pack":
        require_write(call.user)
    try:
        return call.hub.git(call.repository())
    except Refusal as refusal:
        if refusal.status != 404 or not (call.user and call.user.write):
            raise
    check_name(call.name)
    return call.hub.empty


async def _advertise(request: Request) -> Response:
    call = call_of(request)
    service = _SERVICES.get(call.query("service"), "")
    if not service:
        raise Refusal(403, "git 1.6.6 or newer is needed (smart http)")
    protocol = request.headers.get("git-protocol", "")

    def refs() -> bytes:
        git = _git(call, service)
        command, environment = git.service(service, "--advertise-refs", protocol=protocol)
        return git.git(*command[1:], environment=environment)

    listed = await run_in_threadpool(refs)
    line = f"# service=git-{service}\n".encode()
    head = b"%04x%s0000" % (len(line) + 4, line)
    return Response(
        head + listed, media_type=f"application/x-git-{service}-advertisement", headers=_NO_CACHE
    )


async def _rpc(request: Request) -> Response:
    call = call_of(request)
    service = _SERVICES[request.url.path.rsplit("/", 1)[-1]]
    protocol = request.headers.get("git-protocol", "")
    if service == "receive-pack":
        repository = await run_in_threadpool(call.hub.for_push, call.name, call.user)
        git = call.hub.git(repository)
    else:
        git = await run_in_threadpool(_git, call, service)
    command, environment = git.service(service, protocol=protocol)
    body = (
        _inflated(request) if request.headers.get("content-encoding") == "gzip" else stream(request)
    )
    answer = _run(command, environment, body)
    if service == "receive-pack":
        answer = _noted(call, repository, answer)
    return Streaming(answer, f"application/x-git-{service}-result", _NO_CACHE)


async def _inflated(request: Request) -> Body:
    unpack = zlib.decompressobj(wbits=31)
    async for chunk in stream(request):
        data = unpack.decompress(chunk, _BLOCK)
        while data:
            yield data
            data = unpack.decompress(unpack.unconsumed_tail, _BLOCK)
    if rest := unpack.flush():
        yield rest


async def _run(command: list[str], environment: Mapping[str, str], body: Body) -> Body:
    """The command's stdout while `body` goes to its stdin; it is ended with the request."""
    pipes = {
        "stdin": asyncio.subprocess.PIPE,
        "stdout": asyncio.subprocess.PIPE,
        "stderr": asyncio.subprocess.DEVNULL,
    }
    process = await asyncio.create_subprocess_exec(*command, env=environment, limit=_BLOCK, **pipes)  # type: ignore[arg-type]
    assert process.stdin and process.stdout
    feeding = asyncio.create_task(_feed(process.stdin, body))
    try:
        while data := await process.stdout.read(_BLOCK):
            yield data
        await feeding
        await process.wait()
    finally:
        feeding.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _feed(stdin: asyncio.StreamWriter, body: Body) -> None:
    try:
        async for chunk in body:
            stdin.write(chunk)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        async for _ in body:
            pass
    finally:
        stdin.close()


async def _noted(call: Call, repository: Repository, answer: Body) -> Body:
    """`answer`, and an event for each ref that has changed after it."""
    before = await run_in_threadpool(call.hub.git(repository).refs)
    async for data in answer:
        yield data
    await run_in_threadpool(_note, call, call.hub, repository, before)


def _note(call: Call, hub: Hub, repository: Repository, before: Mapping[str, str]) -> None:
    git = hub.git(repository)
    after = git.refs()
    for ref in sorted(before.keys() | after.keys()):
        if before.get(ref) != after.get(ref):
            now = after.get(ref)
            call.event(
                "git",
                "push" if now else "delete ref",
                repository.name,
                f"{ref} {now[:12] if now else ''}".strip(),
            )
    heads = sorted(ref for ref in after if ref.startswith("refs/heads/"))
    if heads and "refs/heads/main" not in after:
        git.git("symbolic-ref", "HEAD", heads[0])
    if before != after:
        hub.database.set_repository(repository.id)
