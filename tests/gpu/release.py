"""A whole release on this machine: handwriting is taught to a base, merged, asked, measured,
described, pushed, read back.

    python tests/gpu/release.py FOLDER --trainer peft
    python tests/gpu/release.py FOLDER --trainer xtuner --trainer-python PYTHON --size 2B
    python tests/gpu/release.py FOLDER --trainer peft --engine lmdeploy --engine-python PYTHON

Run by an interpreter that has hubkit with torch, transformers and scikit-learn; the others have the
trainer and the engine. The base is the quickstart's tiny model, or one of InternVL2-2B's dimensions
with random weights. Proves: `hubkit release` ends well with that trainer and that engine as the
gate (LMDeploy's texts compared with transformers'); the tiny model then answers more than 90 % of
400 held-out digits right; the card says which engine loaded the model. Prints scores and seconds as
JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from large import QUICKSTART, make_large

from hubkit.quickstart.digits import write_digits

NAME = "InternVL2-Proof"
RIGHT = 0.9
STEPS = {"tiny": 400, "2B": 80}


def training(given: argparse.Namespace) -> dict[str, Any]:
    steps = given.steps or STEPS[given.size]
    large = given.size != "tiny"
    shared = {
        "rank": 128 if large else 16,
        "alpha": 256 if large else 32,
        "dropout": 0.05,
        "batch_size": 16 if large else 32,
    }
    shared |= {"learning_rate": 3e-4 if large else 1e-3, "warmup_ratio": 0.05, "accumulation": 1}
    if given.trainer == "xtuner":
        shared |= {
            "iterations": steps,
            "save_every": 1000,
            "log_every": 10,
            "keep": 1,
            "save_optimizer": not large,
        }
    else:
        shared |= {"steps": steps}
    return {"trainer": given.trainer, "options": shared, **_environment(given.trainer_python)}


def spec(given: argparse.Namespace) -> dict[str, Any]:
    smoke: dict[str, Any] = {
        "engine": given.engine,
        "images": 3,
        "prompts": ["Which digit is this?", "Is it even or odd?"],
    }
    if given.engine == "lmdeploy":
        smoke |= {
            "compare_with": "transformers",
            "options": {"backend": given.backend, "cache_share": 0.2},
        }
    return {
        "name": NAME,
        "base": {"path": "base", "name": "hubkit/InternVL2-Base", "license": "apache-2.0"},
        "data": {
            "path": "data/digits.json",
            "images": "data/images",
            "license": "cc-by-4.0",
            "holdout": 400,
        },
        "train": training(given),
        "smoke": {**smoke, **_environment(given.engine_python), "max_new_tokens": 16},
        "evaluate": {"max_new_tokens": 8, "options": {"batch_size": 32}, **_judged(given.size)},
        "publish": [{"to": f"git:./hub/{NAME}.git"}],
        "verify": {"deep": given.size == "tiny"},
    }


def _judged(size: str) -> dict[str, Any]:
    return {"require": {"exact_match": f">= {RIGHT}"}} if size == "tiny" else {"limit": 64}


def _environment(python: Path | None) -> dict[str, Any]:
    return {"environment": {"python": str(python.absolute())}} if python else {}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trainer", choices=("peft", "xtuner"), default="peft")
    parser.add_argument("--trainer-python", type=Path)
    parser.add_argument("--engine", choices=("transformers", "lmdeploy"), default="transformers")
    parser.add_argument("--engine-python", type=Path)
    parser.add_argument("--backend", choices=("auto", "pytorch", "turbomind"), default="auto")
    parser.add_argument("--size", choices=tuple(STEPS), default="tiny")
    parser.add_argument("--steps", type=int, default=0)
    given = parser.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True)
    if given.size == "tiny":
        shutil.copytree(QUICKSTART, folder / "base", ignore=shutil.ignore_patterns("__pycache__"))
    else:
        make_large(folder / "base", given.size)
    write_digits(folder / "data")
    (folder / "release.yaml").write_text(
        yaml.safe_dump(spec(given), sort_keys=False), encoding="utf-8"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "release", "release.yaml"], cwd=folder, check=False
    )
    seconds = time.monotonic() - started
    if done.returncode:
        return done.returncode
    train, smoke, evaluation = (_result(folder, stage) for stage in ("train", "smoke", "evaluate"))
    losses = [
        json.loads(line)["loss"]
        for line in next(folder.glob(".hubkit/*/train/metrics.jsonl")).read_text().splitlines()
    ]
    score, card = (
        evaluation["measures"][0],
        next(folder.glob(".hubkit/*/package/*/README.md")).read_text("utf-8"),
    )
    shown = {
        "seconds": round(seconds, 1),
        "losses": [losses[0], losses[-1]],
        "base": score["base"]["value"],
        "model": score["score"]["value"],
        "count": evaluation["count"],
        "trainable": train["trainable_parameters"],
        "engine": smoke["engine"],
        "versions": smoke["versions"],
        "loaded": smoke["load_seconds"],
        "numbers": smoke["numbers"],
        "compared": smoke["compared"],
        "answers": [exchange["answers"] for exchange in smoke["transcript"]],
        "card": next(line for line in card.splitlines() if f"loaded by `{given.engine}`" in line),
    }
    print(json.dumps(shown, ensure_ascii=False))
    return 0


def _result(folder: Path, stage: str) -> Any:
    return json.loads(next(folder.glob(f".hubkit/*/{stage}/seal.json")).read_text("utf-8"))[
        "result"
    ]


if __name__ == "__main__":
    sys.exit(main())
