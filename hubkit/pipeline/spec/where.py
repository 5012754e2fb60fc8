"""`where`: the machines that the stages which need hardware run on."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ...errors import UsageError
from ...scheduling import Needs
from ...sdk.excerpt import did_you_mean

SchedulerName = Literal["local", "slurm", "kubernetes"]
LOCAL: SchedulerName = "local"
_SCHEDULERS: tuple[SchedulerName, ...] = get_args(SchedulerName)
_OURS = (
    *("array", "chdir", "error", "export", "export-file", "job-name", "ntasks"),
    *("ntasks-per-node", "open-mode", "output", "parsable", "test-only", "wait", "wrap"),
)
"""Flags of sbatch by which hubkit finds its jobs again."""
_KEYS = {
    "cpus-per-task": "cpus",
    "gpus-per-node": "gpus",
    "mem": "memory",
    "nodes": "nodes",
    "partition": "partition",
    "time": "hours",
}


_REACHING = ("context", "namespace", "kubeconfig", "cluster", "user", "as")
_SKY = "SkyPilot's machines share no folder with this one"
_LAUNCH = (
    "`hubkit launch --print sky > task.yaml`, then `sky launch task.yaml`, which may use several "
    "nodes, and `hubkit release` when its folder is back"
)


def scheduler_named(name: str) -> SchedulerName:
    """Raises UsageError when there is none of this name."""
    if name == "sky":
        raise UsageError(f"where: sky is not driven: {_SKY}", _LAUNCH)
    if name not in _SCHEDULERS:
        near = did_you_mean(name, _SCHEDULERS)
        raise UsageError(
            f"there is no scheduler {name!r}{near}", f"write one of: {', '.join(_SCHEDULERS)}"
        )
    return name


def _flag(text: str) -> str:
    name = text.removeprefix("--").partition("=")[0]
    if not text.startswith("--") or not name:
        raise ValueError("a flag of the form --name or --name=value")
    if name in _KEYS:
        raise ValueError(f"a flag that has no key of its own: `where.{_KEYS[name]}`")
    if name in _OURS:
        raise ValueError("a flag that hubkit does not set itself")
    return text


def _words(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise ValueError(f"words as a shell takes them ({error})") from None
    return text


class Where(BaseModel):
    """`local` is the machine that the command runs on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    scheduler: SchedulerName = Field(description="who hands out the machines")
    nodes: int = Field(
        1,
        ge=1,
        description="of the training, where its trainer can, and of the evaluation; other stages "
        "take one",
    )
    gpus: int = Field(0, ge=0, description="per node; 0: the scheduler's default")
    cpus: int = Field(0, ge=0, description="per node; 0: the scheduler's default")
    memory: str = Field(
        "",
        pattern=r"^(\d+[KMGT]?)?$",
        description="per node, as the scheduler writes it: 64G",
    )
    hours: float | None = Field(
        None, gt=0, strict=False, description="after which the scheduler ends the job"
    )
    partition: str = Field(
        "", description="the queue, of Kueue on Kubernetes; default: the scheduler's"
    )
    image: str = Field("", description="a container image with hubkit, for Kubernetes")
    claim: str = Field(
        "",
        description="the PersistentVolumeClaim that holds the release file's folder, for "
        "Kubernetes; the same files must be here",
    )
    mount: str = Field(
        "",
        pattern="^(/.*)?$",
        description="the path at which that volume is mounted, here and there; default: the "
        "release file's folder",
    )
    flags: tuple[Annotated[str, AfterValidator(_flag)], ...] = Field(
        (), strict=False, description="go to the scheduler as they are: `--account=NAME`"
    )
    prologue: str = Field(
        "",
        description="lines of bash that run first on every node, such as `module load cuda`; one "
        "that fails ends the job",
    )
    python: Annotated[str, AfterValidator(_words)] = Field(
        "",
        description="how Python with hubkit is started on a node, such as `apptainer exec --nv "
        "hubkit.sif python`; default: the interpreter that runs hubkit here, an image's `python`",
    )

    @model_validator(mode="after")
    def _whole(self) -> Where:
        if self.scheduler == LOCAL and (given := self._given()):
            raise ValueError(f"without {', '.join(given)} when the scheduler is local")
        if self.scheduler == "slurm" and (self.image or self.claim or self.mount):
            raise ValueError(
                "without image, claim and mount when the scheduler is slurm; `python` may start a "
                "container: `apptainer exec --nv hubkit.sif python`"
            )
        if self.scheduler == "kubernetes":
            self._whole_of_kubernetes()
        return self

    def _given(self) -> list[str]:
        """What is not as it would be by itself."""
        fields = type(self).model_fields
        return [
            name
            for name in sorted(fields)
            if name != "scheduler" and getattr(self, name) != fields[name].default
        ]

    def _whole_of_kubernetes(self) -> None:
        if not (self.image and self.claim):
            raise ValueError("with image and claim when the scheduler is kubernetes")
        if self.nodes > 1:
            raise ValueError(
                "with one node when the scheduler is kubernetes; `hubkit launch --print "
                "kubernetes` takes several"
            )
        for flag in self.flags:
            if flag.removeprefix("--").partition("=")[0] not in _REACHING:
                listed = ", ".join(f"--{name}" for name in _REACHING)
                raise ValueError(f"with flags by which kubectl reaches a cluster: {listed}")

    def needs(self) -> Needs:
        return Needs(
            nodes=self.nodes,
            gpus=self.gpus,
            cpus=self.cpus,
            memory=self.memory,
            hours=self.hours,
            partition=self.partition,
            image=self.image,
            claim=self.claim,
            mount=self.mount,
            flags=self.flags,
            prologue=self.prologue,
        )


def _named(value: Any) -> Any:
    named = {"scheduler": value} if isinstance(value, str) else value
    if isinstance(named, dict) and named.get("scheduler") == "sky":
        told = f"another scheduler: {_SKY}; {_LAUNCH}"
        raise PydanticCustomError("not_driven", "{told}", {"told": told})
    return named


WhereField = Annotated[
    Where,
    BeforeValidator(_named, json_schema_input_type=SchedulerName | Where),
    Field(
        description="`local`, `slurm`, or a mapping of a scheduler (`kubernetes` too) and what is "
        "asked of it",
        examples=["local", {"scheduler": "slurm", "gpus": 4, "hours": 12}],
    ),
]
