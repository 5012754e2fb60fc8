"""A release with XTuner on this machine: the quickstart's tiny model is taught handwriting, merged, asked, measured, pushed.

    python tests/gpu/xtuner_release.py FOLDER XTUNER_PYTHON [ITERATIONS]

Needs a GPU for DeepSpeed (runs on a CPU too), an interpreter with XTuner, and in this one hubkit with torch, transformers and
scikit-learn. Proves: `hubkit release` with `trainer: xtuner` ends well, the merged model answers more than 90 % of 400 held-out
digits right where its base gets about a quarter, and what was pushed reads back. Prints the scores as JSON.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

import hubkit
from hubkit.quickstart.digits import write_digits

NAME = "InternVL2-Tiny-XTuner"


def spec(python: str, iterations: int) -> dict[str, object]:
    training = {"rank": 16, "alpha": 32, "dropout": 0.05, "iterations": iterations, "batch_size": 32, "accumulation": 1}
    training |= {"learning_rate": 1e-3, "warmup_ratio": 0.05, "save_every": 100, "log_every": 10, "keep": 1}
    return {
        "name": NAME, "base": {"path": "base", "name": "hubkit/InternVL2-Tiny"},
        "data": {"path": "data/digits.json", "images": "data/images", "license": "cc-by-4.0", "holdout": 400},
        "train": {"trainer": "xtuner", "environment": {"python": python}, "options": training},
        "smoke": {"engine": "transformers", "images": 3, "prompts": ["Which digit is this?", "Is it even or odd?"]},
        "publish": [{"to": f"git:./hub/{NAME}.git"}],
    }  # fmt: skip


def main(folder: Path, python: str, iterations: int) -> int:
    folder.mkdir(parents=True)
    base = Path(hubkit.__file__).parent / "quickstart" / "base"
    shutil.copytree(base, folder / "base", ignore=shutil.ignore_patterns("__pycache__"))
    write_digits(folder / "data")
    (folder / "release.yaml").write_text(yaml.safe_dump(spec(python, iterations), sort_keys=False), encoding="utf-8")
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "hubkit", "release", "release.yaml"], cwd=folder, check=False)
    seconds = time.monotonic() - started
    if done.returncode:
        return done.returncode
    train = json.loads(next(folder.glob(".hubkit/*/train/receipt.json")).read_text("utf-8"))["result"]
    evaluation = json.loads(next(folder.glob(".hubkit/*/evaluate/receipt.json")).read_text("utf-8"))["result"]
    metrics = [json.loads(line) for line in next(folder.glob(".hubkit/*/train/metrics.jsonl")).read_text("utf-8").splitlines()]
    shown = {"seconds": round(seconds, 1), "first_loss": metrics[0]["loss"], "last_loss": metrics[-1]["loss"]}
    print(json.dumps({**shown, "train": train, "evaluation": evaluation}, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else 400))
