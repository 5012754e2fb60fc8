"""What writing a model of InternVL2-2B's true shapes as GGUF takes: wall time and peak memory of
the exporter, beside `cp` of what it wrote, followed by `sync`.

Needs 14 GB of disk for SIZE 2B. The native view is made before, and not in the time. `--type q8_0`
and others show what quantising costs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "gpu"))
CHILD = """
import json, sys, time
from pathlib import Path
from hubkit_gguf import GgufExporter
from hubkit.sdk import ExportInput, SilentRun
from hubkit.weights.model import open_model

base, native, out, kind = sys.argv[1:]
model = open_model(Path(base))
job = ExportInput(model.folder, Path(native), model.vision, "Model", Path(out), {"type": kind})
started = time.perf_counter()
GgufExporter().export(job, SilentRun())
seconds = time.perf_counter() - started
status = Path("/proc/self/status").read_text()
peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "peak": peak / 1024}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="2B")
    parser.add_argument("--type", default="f16")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="kept, and used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-benchmark-", dir=Path.cwd()) as temporary:
        report(given, given.folder or Path(temporary))


def report(given: argparse.Namespace, place: Path) -> None:
    from large import make_large

    from hubkit.reporting import SilentReporter
    from hubkit.weights.convert import native_view
    from hubkit.weights.model import open_model

    base = place / "InternVL2-Random"
    if not base.exists():
        make_large(base, given.size)
    native = native_view(open_model(base), place / "native", SilentReporter())
    print("| Run | Wall s | Bytes | x cp | Peak MiB |")
    print("|---|---:|---:|---:|---:|")
    for number in range(given.repeat):
        out, copy = place / "out", place / "copy"
        out.mkdir()
        command = [sys.executable, "-c", CHILD, str(base), str(native), str(out), given.type]
        subprocess.run(["sync"], check=True)
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        told = json.loads(done.stdout.splitlines()[-1])
        subprocess.run(["sync"], check=True)
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in out.iterdir())
        began = time.perf_counter()
        shutil.copytree(out, copy)
        subprocess.run(["sync"], check=True)
        copied = time.perf_counter() - began
        print(
            f"| {given.type} {number + 1} | {seconds:.1f} ({told['seconds']:.1f} exporting) "
            f"| {size:,} | {seconds / copied:.2f} | {told['peak']:.0f} |",
            flush=True,
        )
        shutil.rmtree(out)
        shutil.rmtree(copy)


if __name__ == "__main__":
    main()
