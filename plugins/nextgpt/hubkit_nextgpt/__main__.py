"""`python -m hubkit_nextgpt`: what NExT-GPT needs beside hubkit's own verbs. Errors are said as
hubkit says them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hubkit.sdk import HubkitError, SilentRun, UsageError, json_text
from hubkit.sdk.codec import decode, encode

from .options import WEIGHTS, Options


class _Told(SilentRun):
    """Notes and progress on stderr."""

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        sys.stderr.write(f"{done:,.0f} of {total:,.0f} {unit}\n")

    def note(self, message: str) -> None:
        sys.stderr.write(f"{message}\n")


def main(arguments: list[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        result = _CALLS[given.call](given)
    except HubkitError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(encode(result), indent=2, ensure_ascii=False) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hubkit_nextgpt")
    calls = parser.add_subparsers(dest="call", required=True)
    captions = calls.add_parser(
        "captions", help="compute caption embeddings; continues where it was"
    )
    captions.add_argument("--kind", choices=("image", "video", "audio"), required=True)
    for name in ("--captions", "--model", "--out"):
        captions.add_argument(name, type=Path, required=True)
    captions.add_argument("--batch-size", type=int, default=128)
    captions.add_argument("--device", default="")
    train = calls.add_parser(
        "train", help="run the stages; continues at the one that was interrupted"
    )
    train.add_argument("options", type=Path)
    train.add_argument("--out", type=Path, required=True)
    pack = calls.add_parser("pack", help="write the delta as a folder to publish")
    pack.add_argument("checkpoint", type=Path)
    for name in ("--base", "--licenses", "--out"):
        pack.add_argument(name, type=Path, required=True)
    pack.add_argument("--base-name", default="", help="the base language model's repository")
    pack.add_argument(
        "--alpha", type=int, default=0, help="of the LoRA, where the checkpoint does not say it"
    )
    restore = calls.add_parser("restore", help="base and delta to the files that NExT-GPT loads")
    restore.add_argument("delta", type=Path)
    for name in ("--base", "--out"):
        restore.add_argument(name, type=Path, required=True)
    demo = calls.add_parser(
        "demo", help=f"run the checkout's demo or prediction; needs {', '.join(WEIGHTS)}"
    )
    demo.add_argument("options", type=Path)
    demo.add_argument("--checkpoint", type=Path, required=True)
    demo.add_argument("--scratch", type=Path, default=Path("nextgpt-demo"))
    demo.add_argument("--python", default=sys.executable)
    demo.add_argument("--program", default="", help="demo_app.py, inference.py or predict.py")
    return parser


def _json(path: Path) -> Any:
    try:
        return json_text.load(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({error})", "correct the file") from None


def _captions(given: argparse.Namespace) -> object:
    from .captions import precompute

    return precompute(
        given.kind,
        given.captions,
        given.model,
        given.out,
        batch_size=given.batch_size,
        device=given.device,
        run=_Told(),
    )


def _train(given: argparse.Namespace) -> object:
    import shutil

    from .stages import run_stages

    options, out = decode(Options, _json(given.options), given.options.name), given.out.absolute()
    if (out / "checkpoint").exists():
        raise UsageError(f"{out / 'checkpoint'} exists", "name another folder")
    done = run_stages(options, out / "scratch", _Told())
    shutil.copytree(
        done[-1].folder, out / "checkpoint", ignore=shutil.ignore_patterns("stage.json")
    )
    return [stage.report for stage in done]


def _pack(given: argparse.Namespace) -> object:
    from .delta import pack

    licenses = _json(given.licenses)
    return pack(
        given.checkpoint,
        given.base,
        given.out,
        licenses=licenses,
        base_name=given.base_name,
        alpha=given.alpha,
        run=_Told(),
    )


def _restore(given: argparse.Namespace) -> object:
    from .restoring import restore

    return restore(given.delta, given.base, given.out)


def _demo(given: argparse.Namespace) -> object:
    from .launch import demo

    options = decode(Options, _json(given.options), given.options.name)
    demo(
        options,
        given.checkpoint,
        given.scratch,
        python=given.python,
        program=given.program,
        run=_Told(),
    )
    return None


_CALLS = {"captions": _captions, "train": _train, "pack": _pack, "restore": _restore, "demo": _demo}

if __name__ == "__main__":
    sys.exit(main())
