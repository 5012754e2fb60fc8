"""What a merge writes: the base's own shards, or those with an output head beside the embedding
table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..files.disk import write_json
from ..files.outside import read_json
from ..hygiene.local_paths import without_local_paths
from .checkpoint import Checkpoint
from .companions import INDEX, written
from .header import Header, build_header
from .stream import WrittenFile
from .tying import Tie


@dataclass(frozen=True)
class Plan:
    """The header of each shard to write. A tensor in `sources` starts as the base's tensor that is
    named there, in the same shard; any other as the base's own of its name."""

    headers: Mapping[str, Header]
    sources: Mapping[str, str] = field(default_factory=dict)


def copied(weights: Checkpoint) -> Plan:
    return Plan({shard.name: shard.header for shard in weights.shards.values()})


def untied(weights: Checkpoint, tie: Tie) -> Plan:
    """The head in the shard of the table."""
    shard, table = weights.shard(tie.table), weights.tensors[tie.table]
    infos = [*shard.header.tensors, replace(table, name=tie.head)]
    header = build_header(
        ((weights.written_as.get(t.name, t.name), t.dtype, t.shape) for t in infos),
        shard.name,
        shard.header.metadata,
    )
    named = (replace(new, name=t.name) for t, new in zip(infos, header.tensors, strict=True))
    header = replace(header, tensors=tuple(named))
    return Plan({**copied(weights).headers, shard.name: header}, {tie.head: tie.table})


def rewritten(
    folder: Path, files: Sequence[WrittenFile], weights: Checkpoint, tie: Tie
) -> list[WrittenFile]:
    """`files` after config.json and the index of the weights know of the head."""
    changed = {"config.json": without_local_paths(dict(tie.config))}
    if weights.index is not None:
        index, table = read_json(folder, INDEX), weights.tensors[tie.table]
        changed[INDEX] = {
            **index,
            "metadata": {
                **(index.get("metadata") or {}),
                "total_size": weights.total_size + table.size,
            },
            "weight_map": {**index["weight_map"], tie.head: table.shard},
        }
    for name, data in changed.items():
        write_json(folder / name, data)
    kept = [file for file in files if file.path not in changed]
    return [*kept, *(written(folder, name) for name in changed)]
