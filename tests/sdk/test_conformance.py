"""The driver of datasets passes an honest one and names what others do wrong; the bundled plugins
have the shape of their kind."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from testing.honest_plugins import Lines, caught

from hubkit.registry.plugins import plugins
from hubkit.sdk import Record, Turn
from hubkit.sdk.install import DISTRIBUTION
from hubkit.sdk.testing import check_contract, check_dataset


def test_dataset(tmp_path: Path) -> None:
    source, bad = tmp_path / "data.tsv", tmp_path / "bad.tsv"
    source.write_text("one?\tyes\ntwo?\tno\n")
    bad.write_text("one?\tyes\ntwo\n")
    assert len(check_dataset(Lines(), source, 2, bad={bad: "record 1: no answer"})) == 2
    assert "gave 2 records, expected 3" in caught(lambda: check_dataset(Lines(), source, 3))
    assert "does not say 'line 2'" in caught(
        lambda: check_dataset(Lines(), source, 2, bad={bad: "line 2"})
    )
    assert "was read without complaint" in caught(
        lambda: check_dataset(Lines(), source, 2, bad={source: "x"})
    )

    class Listing(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            return list(super().records(source, options))

    class Changing(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            for record in super().records(source, options):
                yield replace(record, id=f"{record.id}-{time.monotonic_ns()}")

    class Edited(Lines):
        changes: Mapping[str, Any] = {}

        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            for record in super().records(source, options):
                yield replace(record, **self.changes)

    def edited(**changes: Any) -> str:
        return caught(
            lambda: check_dataset(type("Edited", (Edited,), {"changes": changes})(), source, 2)
        )

    assert "must stream" in caught(lambda: check_dataset(Listing(), source, 2))
    assert "gave different records" in caught(lambda: check_dataset(Changing(), source, 2))
    assert "ids repeat: ['x']" in edited(id="x")

    class One(Lines):
        def records(self, source: Path, options: Mapping[str, Any]) -> Any:
            yield Record("1", ("/etc/passwd",), (Turn("<image>", "x"),))

    assert "image '/etc/passwd' must be a relative path" in caught(
        lambda: check_dataset(One(), source, 1)
    )


def test_every_bundled_plugin_has_the_shape_of_its_kind() -> None:
    for row in plugins().rows():
        if row.distribution == DISTRIBUTION:
            check_contract(plugins().get(row.kind, row.name), row.kind)
    assert "is a dataset, this driver is for a hub" in caught(
        lambda: check_contract(Lines(), "hub")
    )
