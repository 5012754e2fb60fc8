"""ModelFamily: everything hubkit knows of one kind of model, as data and pure functions of its
config.json.

"Official" is the layout that is published (OpenGVLab's tensor names for InternVL2); "native" is the
layout that transformers loads without remote code. Trainers and engines that build on transformers
get the native view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from .vision import Vision


@dataclass(frozen=True)
class TensorMap:
    """One native tensor: rows of one official tensor, taken along dimension 0 in the order given
    (half-open ranges).

    Empty `rows` means the whole tensor. The row ranges of all TensorMaps of one `source` cover it
    exactly once, so the map reads both ways.
    """

    name: str
    source: str
    rows: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Experts:
    """One matrix of all experts of a layer, which transformers 5 holds in memory as a single
    parameter under `name`; peft calls it so in `target_parameters`. `shape` is (expert, out, in).

    `sources` are the official tensors: for each expert those whose rows, one below the other, are
    its matrix of (out, in); or a single tensor of all experts, which is (expert, in, out) where
    `turned`. The parameter in memory is (expert, in, out) where `held_turned`.
    """

    name: str
    shape: tuple[int, int, int]
    sources: tuple[tuple[str, ...], ...]
    turned: bool = False
    held_turned: bool = False

    @property
    def stacked(self) -> bool:
        """Whether one official tensor holds all experts."""
        return len(self.sources) == 1 and len(self.sources[0]) == 1


@dataclass(frozen=True)
class ModuleGroup:
    """Modules that are trained or frozen together, by native names: all below `prefix`; `linears`
    are the last name parts of the linear layers that take a LoRA, `experts` the ends of the names
    of parameters that hold a matrix of all experts."""

    prefix: str
    linears: tuple[str, ...]
    experts: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeModel:
    """The same model as transformers knows it: its config.json and where each tensor comes from.
    `groups` has the keys `llm`, `vit` and `projector`, and those of parts that few models have
    (`qformer`); `mlp1`, as SDK 1.2 and before called the projector, is read as that.

    `files` are further JSON files of the native folder, by name (the processor's); `tokenizer` are
    keys for its tokenizer_config.json. `chat_prelude` is Jinja to put before the folder's own chat
    template, which takes texts only: it makes a text of each message whose content is a list of
    parts. `notes` say what the native files cannot express.
    """

    config: Mapping[str, Any]
    tensors: tuple[TensorMap, ...]
    groups: Mapping[str, ModuleGroup]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    chat_prelude: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named = {"projector" if key == "mlp1" else key: group for key, group in self.groups.items()}
        object.__setattr__(self, "groups", named)


@dataclass(frozen=True)
class Companions:
    """Files beside the weights, by name. `required` must be there; `optional` are carried when the
    base has them. Alternatives for one need are given as `a|b` in `required`."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardFacts:
    """What a model card says because of the family. `usage` maps a title to a Markdown snippet in
    which `{repository}` stands for the folder with a download of the repository; `usage_in` has
    such mappings in other languages than English, by their codes. `relation` is what such a model
    is to its base, as Hugging Face names it. `citation` is the BibTeX entry of the family's
    paper. `limits` are sentences on what is not known of such models, and `limits_in` those in
    other languages."""

    library_name: str
    pipeline_tag: str
    tags: tuple[str, ...]
    usage: Mapping[str, str]
    relation: Literal["adapter", "finetune", "merge", "quantized"] = "finetune"
    usage_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    citation: str = ""
    limits: tuple[str, ...] = ()
    limits_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Support:
    """What a family says of itself in the documentation, in a class variable `support`: its models
    by language code, the trainers and engines that take them, and what has been proved. `check`: a
    folder is checked and published; `merge`: merged tensors are those of PEFT; `step`: a step of
    training, and the same inputs in asking; `release`: a whole release, until a fresh download
    answers; all in tests; `gpu`: trained or asked on a GPU."""

    models: Mapping[str, str]
    trainers: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    layouts: tuple[Literal["official", "hf"], ...] = ("hf",)
    proved: tuple[Literal["check", "merge", "step", "release", "gpu"], ...] = ("check", "merge")


@dataclass(frozen=True)
class Problem:
    """One finding of a check: `where` names the file (and key), `message` what is wrong, `remedy`
    what to do."""

    where: str
    message: str
    remedy: str


@dataclass(frozen=True)
class RecognisedModel:
    """A short description for people: `InternVL2 (InternViT-300M + InternLM2, 2.2 B
    parameters)`."""

    family: str
    description: str
    parameters: int
    details: Mapping[str, str] = field(default_factory=dict)


class ModelFamily(Protocol):
    kind: ClassVar[str]  # "family"
    name: ClassVar[str]
    sdk: ClassVar[str]

    def recognises(self, config: Mapping[str, Any]) -> bool:
        """True when this config.json is of the family, in its official layout."""

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel: ...

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        """Every official tensor's name and shape, from the config alone.

        Raises:
            UsageError: the config lacks a key or has an unknown language model; names the key.
        """

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        """`tokens` are the ids of the folder's special tokens (`hubkit.sdk.token_ids`). Without
        them tensors and groups are the same, but the config lacks what depends on them and must not
        be written.

        Raises:
            UsageError: the config lacks a key, or has a setting that transformers' own model cannot
                express; names the key.
        """

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """`preprocessor` is preprocessor_config.json, when the folder has one."""

    def companions(self, config: Mapping[str, Any]) -> Companions: ...

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        """What only the family can judge: special token ids, auto_map targets, generation settings.
        No tensor is read."""

    def repository_problem(self, repository: str) -> str | None:
        """Why `organisation/name` or `name` may not be used for a model of this family; None when
        it may."""

    def card(self, config: Mapping[str, Any]) -> CardFacts: ...


class ExpertFamily(ModelFamily, Protocol):
    """A family of models some of which have layers of experts."""

    def experts(self, config: Mapping[str, Any]) -> tuple[Experts, ...]:
        """Those of each layer in the order in which its class declares the parameters, since peft
        wraps them in that order; empty for a model that has none."""
