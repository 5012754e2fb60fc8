"""From a job to everything that the training process needs, in the scratch folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import Foreseen, Record, Run, TrainInput, json_text, read_records, stop_ids
from hubkit.sdk.codec import encode

from . import checks, config, data, folder, schedule, trainable
from .options import Options

_PLACE = {"node_rank", "master_addr", "master_port"}
MODEL, WORK, KEY, FACTS = "model", "work", "key", "facts.json"


@dataclass(frozen=True)
class Training:
    """`config` is the effective configuration, saved in `config_file`; `changes` are its
    differences from the one it was made of, `parameters` how many it should train (None: not known
    beforehand)."""

    job: TrainInput
    options: Options
    base: Mapping[str, Any]
    tokenizer: Any
    records: tuple[Record, ...]
    config: Mapping[str, Any]
    config_file: Path
    changes: Mapping[str, list[Any]]
    plan: schedule.Plan
    parameters: int | None
    gpu: bool

    @property
    def work(self) -> Path:
        return self.job.scratch / WORK

    @property
    def masks(self) -> dict[str, str]:
        """Paths of this machine, and what stands for them in what is kept."""
        job = self.job
        paths = {
            job.scratch / data.FILE: "<data>",
            job.scratch / MODEL: "<model>",
            job.base: "<model>",
            job.images: "<images>",
        }
        return {str(path): name for path, name in {**paths, job.scratch: "<scratch>"}.items()}


def prepare(job: TrainInput, options: Options, run: Run) -> Training:
    """Raises what the trainer raises before training."""
    base = json_text.load(job.base / "config.json")
    llm = folder.language_model(base)
    folder.check_options(
        llm, stock_prompt=options.prompt == "xtuner", remote_code=options.allow_remote_code
    )
    gpu = checks.uses_gpu(options)
    checks.installed(options, gpu)
    checks.files(options)
    start = config.load(options.config)
    _own_scratch(job, options)
    model = folder.prepare(
        job.base, job.native, job.scratch / MODEL, remote_code=options.allow_remote_code
    )
    stops = list(stop_ids(json_text.load(job.base / "generation_config.json")))
    file = job.scratch / data.FILE
    wanted = config.changes(options, job, model, file, gpu=gpu, llm=llm, stops=stops)
    made = config.apply(start, wanted, options)
    records, tokenizer = tuple(read_records(job.records)), load_tokenizer(model, options)
    limit, stock = (
        int(made["train_dataloader"]["dataset"]["max_length"]),
        options.prompt == "xtuner",
    )
    lengths = data.check(records, job, tokenizer, stops, limit, stock=stock, run=run)
    plan = schedule.plan(made, len(records), options.devices * options.nodes)
    parameters = trainable.count(made["model"], base)
    _announce(plan, made, parameters, run)
    if parameters:
        size = trainable.checkpoint_bytes(parameters, optimizer=options.save_optimizer)
        checks.disk(job.scratch, size * (plan.kept + 1), plan.kept)
    data.write(file, records, lengths)
    path = job.scratch / config.EFFECTIVE
    config.save(made, path)
    changed = config.difference(start, made)
    return Training(
        job, options, base, tokenizer, records, made, path, changed, plan, parameters, gpu
    )


def load_tokenizer(model: Path, options: Options) -> Any:
    from .torchvision_ops import define_if_missing

    define_if_missing()
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if options.allow_remote_code:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=True)
    return PreTrainedTokenizerFast.from_pretrained(model)


def fingerprint(job: TrainInput, options: Options) -> str:
    """Of everything that a checkpoint must agree with: options, seed, records, tiling, the base's
    configuration and sizes. Not of where the nodes meet: a job that is submitted again has other
    ones."""
    said = {name: value for name, value in encode(options).items() if name not in _PLACE}
    digest = hashlib.sha256(
        json.dumps([said, job.seed, encode(job.vision)], sort_keys=True).encode()
    )
    digest.update(job.records.read_bytes())
    digest.update((job.base / "config.json").read_bytes())
    if options.config:
        digest.update(Path(options.config).expanduser().read_bytes())
    for path in sorted(job.base.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return digest.hexdigest()


def _own_scratch(job: TrainInput, options: Options) -> None:
    """Removes what another training left in the scratch folder."""
    key, path = fingerprint(job, options), job.scratch / KEY
    if not path.is_file() or path.read_text("utf-8") != key:
        shutil.rmtree(job.scratch / WORK, ignore_errors=True)
    (job.scratch / WORK).mkdir(exist_ok=True)
    path.write_text(key, encoding="utf-8")


def foresee(training: Training) -> Foreseen:
    """`prepare` has said iterations, warm-up and checkpoints already."""
    plan, size, options = training.plan, schedule.batch(training.config), training.options
    notes: tuple[str, ...] = ()
    if training.parameters:
        taken = trainable.checkpoint_bytes(training.parameters, optimizer=options.save_optimizer)
        notes = (f"a checkpoint takes {taken / 1e9:.2g} GB",)
    samples = plan.iterations * size * options.devices * options.nodes
    return Foreseen(steps=plan.iterations, samples=samples, batch_size=size, notes=notes)


def _announce(
    plan: schedule.Plan, made: Mapping[str, Any], parameters: int | None, run: Run
) -> None:
    size, group = schedule.batch(made), schedule.accumulation(made)
    saved = f"{len(plan.saved)} checkpoints, at most {plan.kept} at a time"
    run.note(
        f"{plan.iterations} iterations of {size} records a device ({plan.per_epoch} an epoch, "
        f"{plan.warmup} of warm-up, the optimizer steps every {group}); {saved}; "
        f"{parameters or 'an unknown number of'} trainable parameters"
    )
