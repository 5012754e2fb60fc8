"""The entry point, and the only place that catches: error -> message, remedy, exit code, log
file."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

import click

from .interruption import asking, interruption
from .sdk.errors import CancelledError, HubkitError
from .sdk.install import refuse_another

SECONDS_TO_END = 3.0
COMPLETION = "_HUBKIT_COMPLETE"
"""Set by the shell when it asks for completions; click reads it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_struck = threading.Event()
_QUIET, _VERBOSE = {"-q", "--quiet"}, {"-v", "--verbose"}


def main() -> None:
    """Runs the command line and exits with the designed code."""
    code = 1
    atexit.register(lambda: _leave(code))  # the first to be registered is the last to run
    gc.set_threshold(100_000, 10, 10)  # importing makes objects that stay, and few cycles
    _hear_libraries(bool(_VERBOSE & {*sys.argv[1:]}))
    code = run(sys.argv[1:])
    if code == CancelledError.exit_code:  # nobody waits for the threads of libraries
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _leave(code: int) -> None:
    """Ends the process before Python takes its modules apart, a third of the time that `check`
    takes. Threads have ended by now, and what libraries had registered is done."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # a full disk, say: Python tells it
        return
    os._exit(code)


def _hear_libraries(verbose: bool) -> None:
    """What a library logs or warns of is for its developers; some (modelscope_hub) set up a handler
    of their own. `python -W` shows warnings."""
    if verbose:
        handler = logging.StreamHandler()
        handler.setFormatter(_Harmless("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        return
    logging.disable(logging.CRITICAL)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


class _Harmless(logging.Formatter):
    """Without credentials; of an address not the query, which may be a signature."""

    def format(self, record: logging.LogRecord) -> str:
        return _harmless(super().format(record))


def _harmless(text: str) -> str:
    import re

    from .pipeline.notify import redacted

    return redacted(re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']+", r"\1?***", text), os.environ)


def run(arguments: list[str]) -> int:
    """Runs one command and returns its exit code."""
    as_json, verbose = "--json" in arguments, bool(_VERBOSE & {*arguments})
    silent = as_json or bool(_QUIET & {*arguments}) or COMPLETION in os.environ
    try:
        with _interruptible(as_json):
            refuse_another()
            from .cli import cli
            from .cli.waiting import waiting

            with nullcontext() if silent else waiting(" ".join(["hubkit", *arguments[:1]])):
                result = cli.main(arguments, prog_name="hubkit", standalone_mode=False)
            return result if isinstance(result, int) else 0
    except (HubkitError, CancelledError) as error:
        if verbose:
            click.echo(_harmless("".join(traceback.format_exception(error))), err=True, nl=False)
        return _tell(error, as_json)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except SystemExit as exit_:  # click's, when it has told a shell what may follow
        return int(exit_.code or 0)
    except click.ClickException as error:
        return _tell_usage(error, as_json)
    except (KeyboardInterrupt, click.Abort):
        return _tell(interruption(), as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if _struck.is_set():  # in the middle of an import, say, of which a half is left
            return _tell(interruption(), as_json)
        from .files.disk import failure

        told = failure(error) if isinstance(error, OSError) else None
        return _tell(told, as_json) if told else _tell_bug(error, as_json)


@contextmanager
def _interruptible(as_json: bool) -> Iterator[None]:
    """Ctrl-C and SIGTERM are raised in the main thread, once; what has not ended SECONDS_TO_END
    later (a hub that does not answer, a library that swallows what is raised) is ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _struck.clear()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as in a script's background jobs
            signal.signal(number, _interrupted)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(
        target=_end_after, args=(reader, ended, as_json), name="hubkit-signals", daemon=True
    ).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(number: int, frame: FrameType | None) -> None:
    _struck.set()
    for each in _SIGNALS:  # what is cleaned up now is not to be interrupted again
        signal.signal(each, _ignored)  # and not SIG_IGN, which children would inherit
    raise KeyboardInterrupt if number == signal.SIGINT else interruption()


def _ignored(number: int, frame: FrameType | None) -> None:
    return None


def _end_after(reader: int, ended: threading.Event, as_json: bool) -> None:
    """Python writes the number of each signal into the pipe at once, whatever the main thread is
    doing."""
    with open(reader, "rb", buffering=0) as signals:
        while number := signals.read(1):
            while number[0] in _SIGNALS and not ended.wait(SECONDS_TO_END):
                if asking():
                    continue
                told = threading.Thread(target=_tell, args=(interruption(), as_json), daemon=True)
                told.start()
                told.join(0.5)  # nobody may be reading the output
                os._exit(CancelledError.exit_code)


def _show(data: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        import json

        click.echo(json.dumps({"event": "error", **data}, ensure_ascii=False))
    else:
        click.echo(text, err=True)


def _tell(error: HubkitError | CancelledError, as_json: bool) -> int:
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
    import tempfile
    from pathlib import Path

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
