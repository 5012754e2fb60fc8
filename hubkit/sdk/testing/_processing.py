"""One processor for training, asking and serving."""

from __future__ import annotations

from ..engine import Engine, GenerateInput, GenerateOutput, MeasureInput
from ..trainer import Trainer, TrainInput, TrainOutput
from ._base import WatchedRun, as_a_worker_gets_it, check_contract, require


def check_processing(
    trainer: Trainer, training: TrainInput, engine: Engine, questions: GenerateInput
) -> tuple[TrainOutput, GenerateOutput]:
    """Trains and asks a model whose own processor arranges its pictures: the first record's prompt,
    its ids and every tensor beside them are the same bytes on both sides. An engine that can
    measure says how long all records are.

    Both jobs name the same records and images. Their folders are there and empty.
    """
    check_contract(trainer, "trainer")
    check_contract(engine, "engine")
    require(
        training.vision.fit == questions.vision.fit == "processor"
        and training.records.read_bytes() == questions.records.read_bytes(),
        "this driver is for one set of records and a model whose processor arranges pictures",
    )
    trained = trainer.train(as_a_worker_gets_it(trainer, training), WatchedRun())
    asked = engine.generate(as_a_worker_gets_it(engine, questions), WatchedRun())
    for name in ("prompt", "prompt_ids", "inputs"):
        one, other = getattr(trained, name), getattr(asked, name)
        require(one and other, f"`{name}` is empty: trained with {one!r}, asked with {other!r}")
        require(one == other, f"`{name}` differs: trained with {one!r}, asked with {other!r}")
    if callable(getattr(engine, "measure", None)):
        _check_measures(engine, questions)
    return trained, asked


def _check_measures(engine: Engine, job: GenerateInput) -> None:
    from ..records import read_records

    wanted = MeasureInput(
        job.native, job.vision, job.records, job.images, job.output, dict(job.options)
    )
    told = engine.measure(as_a_worker_gets_it(engine, wanted), WatchedRun())  # type: ignore[attr-defined]
    records = list(read_records(job.records))
    require(
        [one.id for one in told.lengths] == [record.id for record in records],
        "`measure` must tell of all records in their order",
    )
    for one, record in zip(told.lengths, records, strict=True):
        ends = [end for answer in one.answers for end in answer]
        require(
            len(one.answers) == len(record.turns)
            and ends == sorted(ends)
            and 0 < ends[-1] <= one.tokens,
            f"record {record.id!r}: answers at {one.answers} of {one.tokens} tokens",
        )
