"""The only import surface for plugin authors: contracts, data types and the worker. Standard
library only; `open_picture` and `tiles` need Pillow and numpy when they are called, and
`hubkit.sdk.processing`, which runs a model's own processor, torch and transformers.

A plugin is a class with `kind`, `name`, `sdk` and the methods of its kind's Protocol, registered
by its name in the entry-point group of its kind, such as `hubkit.dataset` (those in
`hubkit.plugins` are imported whatever is asked for):

    | kind     | Protocol       | runs in  | does                                              |
    |----------|----------------|----------|---------------------------------------------------|
    | family   | ModelFamily    | hubkit   | knows a model's layout, names, files and rules    |
    | dataset  | DatasetAdapter | hubkit   | reads a dataset format into records               |
    | trainer  | Trainer        | a worker | trains an adapter                                 |
    | engine   | Engine         | a worker | answers records with a model                      |
    | exporter | Exporter       | a worker | writes a model in another form                    |
    | metric   | Metric         | hubkit   | says how right an answer is                       |
    | hub      | Hub            | hubkit   | publishes a release and reads it back             |

A plugin's own module must import without its heavy dependencies: import those inside methods.

`options` are a mapping everywhere, since they come from release.yaml; `codec.decode(Options,
job.options, "options")` makes the plugin's Options of them and names what does not fit. In a job
that reaches a worker they have been through that once: they are valid, and complete with the
defaults.

`hubkit.sdk.testing` drives a plugin through its life cycle; `hubkit.sdk.worker` is what runs a
trainer, an engine or an exporter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazily

if TYPE_CHECKING:
    from .chat import parts, pictures_of, prompts, segments, stop_ids, text_parts
    from .chat_api import ServerOptions
    from .dataset import RESTRICTIONS, DatasetAdapter, PartedDataset, ScanningDataset, Terms
    from .engine import (
        Engine,
        GenerateInput,
        GenerateOutput,
        Length,
        MeasureInput,
        MeasureOutput,
        MeasuringEngine,
        ServeInput,
        ServeOutput,
        Server,
        ServingEngine,
    )
    from .environment import Health, Requirements
    from .errors import (
        CancelledError,
        DataError,
        EnvironmentFailure,
        HubkitError,
        PluginError,
        RefusedError,
        RemoteError,
        SpecError,
        UsageError,
        WeightsError,
    )
    from .exporter import CheckingExporter, Exporter, ExportInput, ExportOutput
    from .family import (
        CardFacts,
        Companions,
        Experts,
        ModelFamily,
        ModuleGroup,
        NativeModel,
        Problem,
        RecognisedModel,
        Support,
        TensorMap,
    )
    from .hub import (
        DownloadableHub,
        Hub,
        Login,
        PublishInput,
        PublishReceipt,
        ReleaseFile,
        RemoteFile,
        Withdrawal,
    )
    from .journal import Journal
    from .kinds import KINDS
    from .metric import DescribedMetric, Metric
    from .pictures import PictureError, PictureFile, open_picture
    from .records import IMAGE, Answer, Record, Turn, read_answers, read_records, write_jsonl
    from .rows import Row
    from .run import Run, SilentRun
    from .tokens import special_tokens, token_ids
    from .trainer import (
        ForeseeingTrainer,
        Foreseen,
        SeveralNodesTrainer,
        Trainer,
        TrainInput,
        TrainOutput,
    )
    from .transfer import Pace
    from .vision import Vision, grid, tiles

SDK_VERSION = "1.5"
"""major.minor; a plugin names the version it was written for in `sdk`, and runs on every later one
of the same major."""

_HOMES = {
    "chat": "parts pictures_of prompts segments stop_ids text_parts",
    "chat_api": "ServerOptions",
    "dataset": "RESTRICTIONS DatasetAdapter PartedDataset ScanningDataset Terms",
    "engine": (
        "Engine GenerateInput GenerateOutput Length MeasureInput MeasureOutput MeasuringEngine "
        "ServeInput ServeOutput Server ServingEngine"
    ),
    "environment": "Health Requirements",
    "errors": (
        "CancelledError DataError EnvironmentFailure HubkitError PluginError RefusedError "
        "RemoteError SpecError UsageError WeightsError"
    ),
    "exporter": "CheckingExporter Exporter ExportInput ExportOutput",
    "family": (
        "CardFacts Companions Experts ModelFamily ModuleGroup NativeModel Problem RecognisedModel "
        "Support TensorMap"
    ),
    "hub": (
        "DownloadableHub Hub Login PublishInput PublishReceipt ReleaseFile RemoteFile Withdrawal"
    ),
    "journal": "Journal",
    "kinds": "KINDS",
    "metric": "DescribedMetric Metric",
    "pictures": "PictureError PictureFile open_picture",
    "records": "IMAGE Answer Record Turn read_answers read_records write_jsonl",
    "rows": "Row",
    "run": "Run SilentRun",
    "tokens": "special_tokens token_ids",
    "trainer": "ForeseeingTrainer Foreseen SeveralNodesTrainer Trainer TrainInput TrainOutput",
    "transfer": "Pace",
    "vision": "Vision grid tiles",
}
"""Where each name is: a module is imported when it is first asked for."""

__all__ = [
    "IMAGE",
    "KINDS",
    "RESTRICTIONS",
    "SDK_VERSION",
    "Answer",
    "CancelledError",
    "CardFacts",
    "CheckingExporter",
    "Companions",
    "DataError",
    "DatasetAdapter",
    "DescribedMetric",
    "DownloadableHub",
    "Engine",
    "EnvironmentFailure",
    "Experts",
    "ExportInput",
    "ExportOutput",
    "Exporter",
    "ForeseeingTrainer",
    "Foreseen",
    "GenerateInput",
    "GenerateOutput",
    "Health",
    "Hub",
    "HubkitError",
    "Journal",
    "Length",
    "Login",
    "MeasureInput",
    "MeasureOutput",
    "MeasuringEngine",
    "Metric",
    "ModelFamily",
    "ModuleGroup",
    "NativeModel",
    "Pace",
    "PartedDataset",
    "PictureError",
    "PictureFile",
    "PluginError",
    "Problem",
    "PublishInput",
    "PublishReceipt",
    "RecognisedModel",
    "Record",
    "RefusedError",
    "ReleaseFile",
    "RemoteError",
    "RemoteFile",
    "Requirements",
    "Row",
    "Run",
    "ScanningDataset",
    "ServeInput",
    "ServeOutput",
    "Server",
    "ServerOptions",
    "ServingEngine",
    "SeveralNodesTrainer",
    "SilentRun",
    "SpecError",
    "Support",
    "TensorMap",
    "Terms",
    "TrainInput",
    "TrainOutput",
    "Trainer",
    "Turn",
    "UsageError",
    "Vision",
    "WeightsError",
    "Withdrawal",
    "grid",
    "open_picture",
    "parts",
    "pictures_of",
    "prompts",
    "read_answers",
    "read_records",
    "segments",
    "special_tokens",
    "stop_ids",
    "text_parts",
    "tiles",
    "token_ids",
    "write_jsonl",
]


if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOMES)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
