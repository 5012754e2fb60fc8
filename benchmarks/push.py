"""Publishing with hubkit's own hubs to the rehearsal hub, beside a plain http PUT of the same bytes
to the same server.

    python benchmarks/push.py                 # 4.4 GB in two files
    python benchmarks/push.py --size 1 --repeat 3

The hub runs in a process of its own (see benchmarks/publish.py), and so does each push: its peak
memory is VmHWM. The re-release changes one small file; its bytes are all that its sockets sent, and
whether it read a weight is told by the kernel's count of bytes read through read(2) (`rchar`).
Everything is on one disk and one machine: clients and server share its processors, which one upload
of two files uses up already on two of them. Hence the last pair: each hub behind a line of its own
that is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from publish import NAME, TOKEN, Server, make, plain_put, server

HF, MS = f"huggingface:{NAME}-hf", f"modelscope:{NAME}-ms"
CHILD = r"""
import json, os, socket, sys, time
sent = 0
class Counting(socket.socket):
    def send(self, data, *rest):
        global sent
        done = super().send(data, *rest); sent += done
        return done
    def sendall(self, data, *rest):
        global sent
        super().sendall(data, *rest); sent += memoryview(data).nbytes
socket.socket = Counting
folder, url, targets = sys.argv[1], sys.argv[2], sys.argv[3:]
import hubkit
from hubkit.api.hubs import Upload
from hubkit.registry.plugins import plugins
import huggingface_hub, modelscope_hub
plugins()
options = {"token_env": "BENCHMARK_TOKEN", "huggingface.endpoint": url, "modelscope.endpoint": url}
def read():
    return int(open("/proc/self/io").readline().split()[1])
before, start, processor = read(), time.perf_counter(), time.process_time()
upload = Upload(max_mb_per_second=float(os.environ["BENCHMARK_LIMIT"]))
hubkit.push(folder, targets, options=options, upload=upload)
seconds, processor = time.perf_counter() - start, time.process_time() - processor
peak = next(int(l.split()[1]) / 1024 for l in open("/proc/self/status") if l.startswith("VmHWM"))
found = {"seconds": seconds, "processor": processor, "peak": peak}
print(json.dumps({**found, "sent": sent, "read": read() - before}))
"""


def release(folder: Path, tag: str, digests: dict[str, str]) -> None:
    """Stages `folder` as a release; the weights' digests are known."""
    from hubkit.packaging import lfs, manifest
    from hubkit.packaging.configuration import write_configuration

    (folder / "README.md").write_text(f"---\nlicense: mit\n---\n# {tag}\n")
    write_configuration(folder, "image-text-to-text")
    manifest.write_gitattributes(folder)
    listed = manifest.build(
        folder, name="InternVL2-Benchmark", tag=tag, created="2026-01-01", digests=digests
    )
    listed.write(folder)
    lfs.stage(
        folder,
        listed,
        message=tag,
        author_name="B",
        author_email="b@localhost",
        date="2026-01-01",
        tag=tag,
    )


def push(hub: Server, folder: Path, *targets: str, limit: float = 0) -> dict[str, float]:
    """`limit` in MB/s over all targets."""
    command = [sys.executable, "-c", CHILD, str(folder), hub.url, *targets]
    environment = {**os.environ, "BENCHMARK_TOKEN": TOKEN, "BENCHMARK_LIMIT": str(limit)}
    used = hub.processor()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {**answer, "server": hub.processor() - used}


def model(folder: Path) -> None:
    """What makes hubkit know the folder for an InternVL2 model."""
    from hubkit.resources import templates

    base = templates("release").parent.parent / "hubkit" / "quickstart" / "base"
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=float, default=4.4, help="GB in all")
    parser.add_argument("--repeat", type=int, default=2, help="the best counts")
    parser.add_argument("--folder", type=Path, help="where there is room for three times the size")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="hubkit-benchmark-") as temporary:
        folder = Path(temporary) / "InternVL2-Benchmark"
        files = make(folder, int(given.size * 1e9), 2)
        model(folder)
        digests = {path.name: digest for path, digest in files.items()}
        release(folder, "v1", digests)
        with server(Path(temporary) / "hub") as hub:
            report(hub, folder, files, digests, given.size, given.repeat)


def report(
    hub: Server,
    folder: Path,
    files: dict[Path, str],
    digests: dict[str, str],
    size: float,
    repeat: int,
) -> None:
    from huggingface_hub import HfApi

    print(f"{size} GB in {len(files)} files, {os.cpu_count()} processors, best of {repeat}")
    print(f"{'':38}{'':>34}{'processor seconds':>19}{'peak MiB':>16}")
    print(
        f"{'':38}{'seconds':>9}{'GB/s':>8}{'x plain':>9}{'per byte':>9}"
        f"{'client':>9}{'server':>9}{'client':>8}{'server':>8}"
    )
    HfApi(endpoint=hub.url, token=TOKEN).create_repo(NAME)
    plain = []
    for _ in range(repeat):
        os.sync()
        start, own, used = time.perf_counter(), time.process_time(), hub.processor()
        plain_put(hub, files)
        plain.append(
            {
                "seconds": time.perf_counter() - start,
                "processor": time.process_time() - own,
                "server": hub.processor() - used,
                "peak": 0.0,
            }
        )
        hub.forget()
    floor = min(found["seconds"] for found in plain)

    def show(name: str, found: list[dict[str, float]], count: int) -> None:
        """`count` times the bytes of the plain PUT were sent."""
        best = min(found, key=lambda one: one["seconds"])
        times = floor / best["seconds"]
        print(
            f"{name:38}{best['seconds']:9.2f}{size * count / best['seconds']:8.2f}{times:9.2f}"
            f"{count * times:9.2f}{best['processor']:9.2f}{best['server']:9.2f}"
            f"{best['peak']:8.0f}{hub.peak():8.0f}",
            flush=True,
        )

    show("plain PUT", plain, 1)
    jobs = {"huggingface": [HF], "modelscope": [MS], "both at once": [HF, MS]}
    for name, targets in jobs.items():
        pushed = []
        for number in range(repeat):
            os.sync()
            fresh = [f"{target}-{name.split()[0]}-{number}" for target in targets]
            pushed.append(push(hub, folder, *fresh))
            hub.forget()
        show(name, pushed, len(targets))
    for name, targets in {
        "one, as if over a 100 MB/s line": [HF],
        "both, each over its own": [HF, MS],
    }.items():
        got = push(
            hub,
            folder,
            *(f"{target}-held-{len(targets)}" for target in targets),
            limit=100 * len(targets),
        )
        hub.forget()
        print(
            f"{name:38}{got['seconds']:9.2f}{size * len(targets) / got['seconds']:8.2f}", flush=True
        )
    push(hub, folder, HF, MS)
    release(folder, "v2", digests)
    for name, target in {"re-release, huggingface": HF, "re-release, modelscope": MS}.items():
        got = push(hub, folder, target)
        told = (
            f"{got['sent'] / 1024:.0f} KiB sent, {got['read'] / 1e6:.1f} MB read by the client, "
            f"{got['peak']:.0f} MiB"
        )
        print(f"{name:38}{got['seconds']:9.2f}   {told}", flush=True)


if __name__ == "__main__":
    main()
