"""The driver of hubs passes an honest one and names what others do wrong."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from testing.honest_plugins import Shelf, caught

from hubkit.sdk import PublishInput, PublishReceipt, RemoteFile
from hubkit.sdk.testing import check_hub


def test_hub(publish_job: PublishInput, tmp_path: Path) -> None:
    other = replace(publish_job, commit="beef" * 10)
    receipt = check_hub(
        Shelf(), publish_job, tmp_path / "scratch", other=other, bad_target="relative"
    )
    assert (receipt.repository, receipt.revision, receipt.tag) == (
        "shelf",
        publish_job.commit,
        "v1",
    )


class Overwriting(Shelf):
    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        shutil.rmtree(Path(job.target) / job.tag, ignore_errors=True)
        return super().publish(job, run)


class Corrupting(Shelf):
    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Any
    ) -> None:
        super().download(target, revision, out, options, run)
        (out / "config.json").write_text("[]")


class Losing(Shelf):
    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Any
    ) -> tuple[RemoteFile, ...]:
        return super().files(target, revision, options, run)[1:]


class Counting(Shelf):
    count = 0

    def publish(self, job: PublishInput, run: Any) -> PublishReceipt:
        self.count += 1
        return replace(super().publish(job, run), url=f"x{self.count}")


class Welcoming(Shelf):
    def repository(self, target: str) -> str:
        return Path(target).name


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (Overwriting(), "another release under the same tag was published"),
        (Corrupting(), "and the release differ in ['config.json']"),
        (Losing(), "and the release differ in ['README.md']"),
        (Counting(), "publishing the same release again gave another receipt"),
        (Welcoming(), "`repository` took 'relative'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hub_that_breaks_its_contract(
    publish_job: PublishInput, tmp_path: Path, plugin: Any, says: str
) -> None:
    other = replace(publish_job, commit="beef" * 10)
    assert says in caught(
        lambda: check_hub(plugin, publish_job, tmp_path / "s", other=other, bad_target="relative")
    )
