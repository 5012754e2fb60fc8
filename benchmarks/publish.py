"""Uploading to the rehearsal hub, beside a plain http PUT of the same bytes to the same server.

    python benchmarks/publish.py                 # 4.4 GB in two files
    python benchmarks/publish.py --size 1 --repeat 3

The hub runs in a process of its own, as `hubkit hub serve` starts it. The bytes are random, with
the files' pages in the cache; a digest is given to the clients that take one. What is stored is
removed after each job. Peak memory is the server's VmHWM. Everything is on one disk and one
machine: the clients and the server share its processors.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

NAME = "benchmark/InternVL2-Benchmark"
TOKEN = "benchmark-of-publishing"


@dataclass
class Server:
    """`hubkit hub serve` with its data in `data`."""

    process: subprocess.Popen[str]
    url: str
    data: Path

    def peak(self) -> float:
        """MiB, the most that was resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

    def processor(self) -> float:
        """Seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """Removes the stored objects."""
        for path in (self.data / "objects").iterdir():
            shutil.rmtree(path)


@contextlib.contextmanager
def server(data: Path) -> Iterator[Server]:
    command = [
        sys.executable,
        "-m",
        "hubkit",
        "hub",
        "serve",
        "--port",
        "0",
        "--data",
        str(data),
        "--json",
    ]
    environment = {**os.environ, "HUBKIT_HUB_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            yield Server(process, json.loads(process.stdout.readline())["url"], data)
        finally:
            # not SIGINT, which is ignored below a shell that started this in the background
            process.terminate()
            process.communicate()


def make(folder: Path, size: int, count: int) -> dict[Path, str]:
    """`count` files of `size` random bytes together, with their sha256."""
    folder.mkdir()
    digests = {}
    for number in range(count):
        path, digest, left = (
            folder / f"model-{number + 1:05d}-of-{count:05d}.safetensors",
            hashlib.sha256(),
            size // count,
        )
        with path.open("wb") as file:
            while left:
                block = os.urandom(min(left, 1 << 24))
                digest.update(block)
                file.write(block)
                left -= len(block)
        digests[path] = digest.hexdigest()
    return digests


def plain_put(hub: Server, files: dict[Path, str]) -> None:
    """To links that the Git LFS batch API gives, one file after another, as `curl -T` would."""
    address = urlsplit(hub.url)
    assert address.hostname and address.port
    connection = http.client.HTTPConnection(
        address.hostname, address.port, blocksize=1 << 20, timeout=600
    )
    objects = [{"oid": digest, "size": path.stat().st_size} for path, digest in files.items()]
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    connection.request(
        "POST",
        f"/{NAME}.git/info/lfs/objects/batch",
        json.dumps({"operation": "upload", "objects": objects}),
        headers,
    )
    answer = json.load(connection.getresponse())
    for item, path in zip(answer["objects"], files, strict=True):
        link = item["actions"]["upload"]["href"].removeprefix(hub.url)
        with path.open("rb") as file:
            connection.request("PUT", link, file, {"content-length": str(path.stat().st_size)})
        response = connection.getresponse()
        response.read()
        assert response.status == 200


def huggingface(hub: Server, files: dict[Path, str]) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=hub.url, token=TOKEN)
    operations = []
    for path, digest in files.items():
        operation = CommitOperationAdd(path.name, path)
        operation.upload_info.sha256 = bytes.fromhex(digest)
        operations.append(operation)
    api.create_commit(NAME, operations, commit_message=f"at {time.time()}")


def modelscope(hub: Server, files: dict[Path, str]) -> None:
    from modelscope_hub import HubApi

    api = HubApi(endpoint=hub.url, token=TOKEN)
    folder = next(iter(files)).parent
    with contextlib.redirect_stdout(io.StringIO()):
        api.upload_folder(
            NAME, "model", folder_path=folder, commit_message="benchmark", use_cache=False
        )


JOBS: dict[str, Callable[[Server, dict[Path, str]], None]] = {
    "plain PUT": plain_put,
    "huggingface_hub, digests given": huggingface,
    "modelscope_hub, hashes itself": modelscope,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=4.4, help="GB in all")
    parser.add_argument("--files", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=2, help="the best counts")
    parser.add_argument("--folder", type=Path, help="where there is room for twice the size")
    given = parser.parse_args()
    os.environ |= {
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "MODELSCOPE_LOG_LEVEL": "40",
        "TQDM_DISABLE": "1",
    }
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="hubkit-benchmark-") as temporary:
        folder = Path(temporary)
        files = make(folder / "model", int(given.size * 1e9), given.files)
        with server(folder / "hub") as hub:
            report(hub, files, given.size, given.repeat)


def report(hub: Server, files: dict[Path, str], size: float, repeat: int) -> None:
    from huggingface_hub import HfApi

    HfApi(endpoint=hub.url, token=TOKEN).create_repo(NAME)
    print(f"{size} GB in {len(files)} files, {os.cpu_count()} processors, best of {repeat}")
    print(f"{'':34}{'seconds':>9}{'GB/s':>8}{'x plain':>9}{'server MiB':>12}")
    floor = 0.0
    for name, job in JOBS.items():
        seconds = min(timed(hub, job, files) for _ in range(repeat))
        floor = floor or seconds
        print(
            f"{name:34}{seconds:9.2f}{size / seconds:8.2f}{floor / seconds:9.2f}{hub.peak():12.0f}",
            flush=True,
        )


def timed(
    hub: Server, job: Callable[[Server, dict[Path, str]], None], files: dict[Path, str]
) -> float:
    os.sync()
    start = time.perf_counter()
    job(hub, files)
    seconds = time.perf_counter() - start
    hub.forget()
    return seconds


if __name__ == "__main__":
    main()
