"""Records in shares: several processes of one engine answer at once, on this machine and on others
that share its folder.

A share takes whole batches in turn: of two processes the first has batches 0, 2, 4 and so on. So
each batch is the one that a single process would have asked, what all have answered at any moment
is nearly the first records, and a run that was broken off goes on with any number of processes.
Nobody deals: each process knows its records by its number.

shares/K-of-N/answers.jsonl  what the process K of N has answered
shares/K-of-N/done.json      what it says of its work; there once it has answered all
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from ..digests import write_atomically
from ..environments.machine import gpus
from ..environments.outputs import discard_worker
from ..errors import CancelledError, EnvironmentFailure
from ..files.disk import remove
from ..reporting import Parts
from ..sdk import Answer, GenerateOutput, Record, Run, codec, json_text, write_jsonl
from ..sdk.records import standing_answers

ANSWERS, SHARES, DONE = "answers.jsonl", "shares", "done.json"
SECONDS_BETWEEN_LOOKS = 0.5

Given = tuple[GenerateOutput, list[Answer]]
"""What an engine says of its work, and one answer per record, in their order."""

Ask = Callable[[Sequence[Record], Path, Run, Mapping[str, str]], Given]
"""Has one process of an engine answer the records; it writes into the folder and gets the
variables."""


@dataclass(frozen=True)
class Nodes:
    """This machine among those that share the folder of the answers, `rank` from 0."""

    count: int = 1
    rank: int = 0


@dataclass(frozen=True)
class Shares:
    """`batch` records belong together; `processes` are on each of `nodes`."""

    records: Sequence[Record]
    batch: int
    processes: int
    nodes: Nodes

    @property
    def count(self) -> int:
        """No share is empty."""
        batches = -(-len(self.records) // self.batch)
        return max(1, min(self.processes * self.nodes.count, batches))

    @property
    def here(self) -> range:
        """Those of this machine; the first share is the first machine's."""
        return range(self.nodes.rank, self.count, self.nodes.count)

    def places(self, share: int, count: int) -> list[int]:
        """Where in the whole the records of a share of `count` are."""
        return [n for n in range(len(self.records)) if n // self.batch % count == share]

    def folder(self, out: Path, share: int) -> Path:
        return out / SHARES / f"{share}-of-{self.count}"


def processes_here(wanted: int) -> int:
    """`wanted`; for 0 one for each GPU that this machine has, one without."""
    return wanted or len(gpus(os.environ)) or 1


def ask_all(ask: Ask, shares: Shares, out: Path, run: Run) -> Given:
    """On the first machine: the answers of all, in the order of the records, which `out` then has
    as one process would have left them.

    Raises:
        EnvironmentFailure: the machines' packages have different versions.
        HubkitError: what the first share to fail raised; those of other machines go on.
    """
    _answer_here(ask, shares, out, run)
    folders = [shares.folder(out, share) for share in range(shares.count)]
    _wait_for(folders, run)
    told = [json_text.load(folder / DONE) for folder in folders]
    outputs = [codec.decode(GenerateOutput, one, DONE) for one in told if one is not None]
    for other in outputs[1:]:
        if other.versions != outputs[0].versions:
            remove(out / SHARES)
            raise EnvironmentFailure(
                "the answers come from different versions: "
                f"{dict(outputs[0].versions)} and {dict(other.versions)}",
                "give all nodes the same packages: `where.python`, or `environment: "
                "locked:VARIANT`; then run the same command again",
            )
    answers = list(_known(shares, out).values())
    _write(out, answers)
    remove(out / SHARES)
    whole = replace(
        outputs[0],
        answers=ANSWERS,
        load_seconds=max(one.load_seconds for one in outputs),
        total_seconds=max(one.total_seconds for one in outputs),
    )
    return whole, answers


def gather(shares: Shares, out: Path) -> None:
    """For one process alone: the first answers of several that were broken off, in its own file."""
    if (out / SHARES).exists():
        known = _known(shares, out)
        first = itertools.takewhile(known.__contains__, itertools.count())
        _write(out, [known[place] for place in first])
        remove(out / SHARES)


def ask_own(ask: Ask, shares: Shares, out: Path, run: Run) -> None:
    """On every other machine: its shares, unless all have been answered."""
    if len(standing_answers(out / ANSWERS, shares.records)) < len(shares.records):
        _answer_here(ask, shares, out, run)


def _answer_here(ask: Ask, shares: Shares, out: Path, run: Run) -> None:
    """One thread for each process; the first failure ends all."""
    parts, known = Parts(run), _known(shares, out)

    def answer(share: int, variables: Mapping[str, str]) -> None:
        _answer(ask, shares, share, out, known, parts.part(str(share)), variables)

    count = len(shares.here)
    with ThreadPoolExecutor(max(1, count), thread_name_prefix="hubkit-share") as pool:
        futures = [
            pool.submit(answer, *one) for one in zip(shares.here, _hardware(count), strict=True)
        ]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            parts.stop()
    errors = [error for future in futures if (error := future.exception())]
    for error in sorted(errors, key=lambda one: isinstance(one, CancelledError)):
        raise error


def _answer(
    ask: Ask,
    shares: Shares,
    share: int,
    out: Path,
    known: Mapping[int, Answer],
    run: Run,
    variables: Mapping[str, str],
) -> None:
    """One share, unless it is done; what is `known` of it is not asked again. The first share
    starts the engine in any case, for the prompt."""
    folder, places = shares.folder(out, share), shares.places(share, shares.count)
    if (folder / DONE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    kept = [known[place] for place in itertools.takewhile(known.__contains__, places)]
    _write(folder, kept)
    told = None
    if share == 0 or len(kept) < len(places):
        asked = [shares.records[place] for place in places]
        output, answers = ask(asked, folder, run, variables)
        _write(folder, answers)
        told = codec.encode(output)
    discard_worker(folder)
    write_atomically(folder / DONE, json.dumps(told))


def _known(shares: Shares, out: Path) -> dict[int, Answer]:
    """What was answered so far, by any number of processes, in the order of the records."""
    found: dict[int, Answer] = {}
    for path, share, count in _files(out):
        places = shares.places(share, count)
        answers = standing_answers(path, [shares.records[place] for place in places])
        found |= dict(zip(places, answers, strict=False))
    return dict(sorted(found.items()))


def _files(out: Path) -> Iterator[tuple[Path, int, int]]:
    """(answers, share, count): of one process that was alone, and of every share."""
    yield out / ANSWERS, 0, 1
    for path in sorted((out / SHARES).glob(f"*-of-*/{ANSWERS}")):
        share, _, count = path.parent.name.partition("-of-")
        yield path, int(share), int(count)


def _write(folder: Path, answers: Iterable[Answer]) -> None:
    """Whole or not at all: others may read meanwhile."""
    write_jsonl(folder / f".{ANSWERS}", answers)
    (folder / f".{ANSWERS}").replace(folder / ANSWERS)


def _wait_for(folders: Sequence[Path], run: Run) -> None:
    """A network file system shows a new file when its folder is looked at again."""
    missing = list(folders)
    while missing := [one for one in missing if not (one / DONE).exists()]:
        run.check_cancelled()
        time.sleep(SECONDS_BETWEEN_LOOKS)
        for folder in (missing[0].parent, missing[0]):
            if folder.exists():
                list(folder.iterdir())


def _hardware(processes: int) -> list[dict[str, str]]:
    """Variables by which each process has its part of this machine's GPUs, or processors."""
    seen = gpus(os.environ)
    if not seen or not processes:
        threads = max(1, len(os.sched_getaffinity(0)) // max(1, processes))
        one = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
        return [one] * processes
    each = max(1, len(seen) // processes)
    parts = [seen[n * each : (n + 1) * each] or (seen[n % len(seen)],) for n in range(processes)]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in parts]
