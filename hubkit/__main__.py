"""The entry point, and the only place that catches: error -> message, remedy, exit code, log
file."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import click

from .sdk.errors import CancelledError, HubkitError


def main() -> None:
    """Runs the command line and exits with the designed code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    from .cli import cli

    signal.signal(signal.SIGTERM, _terminated)
    as_json = "--json" in arguments
    try:
        result = cli.main(arguments, prog_name="hubkit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except HubkitError as error:
        return _tell(error, as_json)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return _tell_usage(error, as_json)
    except (KeyboardInterrupt, click.Abort):
        return _tell(
            CancelledError("interrupted", "run the same command again to continue"), as_json
        )
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        return _tell_bug(error, as_json)


def _terminated(signum: int, frame: FrameType | None) -> None:
    raise CancelledError("terminated", "run the same command again to continue")


def _show(data: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"event": "error", **data}, ensure_ascii=False))
    else:
        click.echo(text, err=True)


def _tell(error: HubkitError, as_json: bool) -> int:
    name = click.style("error:", fg="red", bold=True)
    remedy = click.style("remedy:", fg="green", bold=True)
    _show(error.to_json(), f"{name} {error.message}\n{remedy} {error.remedy}", as_json)
    return error.exit_code


def _tell_usage(error: click.ClickException, as_json: bool) -> int:
    if as_json:
        _show(
            {
                "error": "UsageError",
                "message": error.format_message(),
                "remedy": "see --help",
                "exit_code": 2,
            },
            "",
            True,
        )
    else:
        error.show()
    return 2


def _tell_bug(error: Exception, as_json: bool) -> int:
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "hubkit"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir())
    log = folder / f"crash-{os.getpid()}.log"
    log.write_text("".join(traceback.format_exception(error)), "utf-8")
    message, remedy = (
        f"a bug in hubkit: {type(error).__name__}: {error}",
        f"please report it with {log}",
    )
    _show(
        {"error": "Bug", "message": message, "remedy": remedy, "exit_code": 1},
        f"error: {message}\nremedy: {remedy}",
        as_json,
    )
    return 1


if __name__ == "__main__":
    main()
