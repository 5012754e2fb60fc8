"""The sample whose prompt is compared between training and every engine that a release asks."""

from __future__ import annotations

from ..inference.prompt_parity import Sampled, sample
from ..sdk import read_records
from .stage import Context
from .stages import prepare, train


def sampled(context: Context) -> Sampled:
    """The first turn of the first training record; the trainer saw it, and every engine is asked it
    first."""
    record = next(read_records(context.folder(prepare.STAGE) / prepare.TRAIN))
    return sample(
        record,
        context.spec.train.trainer,
        context.result(train.STAGE),
        context.spec.smoke.prompt_differs,
    )
