"""Fixtures that many tests share."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from testing import reached, slurm_cluster
from testing.projects import make_project

# In CI the same examples every time: a run says something of the change, not of luck. Elsewhere new
# ones are sought. No example has a deadline: a busy machine is no fault.
hypothesis.settings.register_profile("any", derandomize=bool(os.environ.get("CI")), deadline=None)
hypothesis.settings.load_profile("any")

# What hubkit keeps (which environments were found good, say) is kept for one run of the tests. The
# processes that pytest-xdist starts inherit it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _HOME = tempfile.TemporaryDirectory(prefix="hubkit-home-")
    os.environ["HUBKIT_HOME"] = _HOME.name

# Started in the background by a script, tests inherit SIGINT as ignored; programs that they
# interrupt would never end.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(reached.Reached(config), "reached")


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All handwritten digits, written once."""
    from hubkit.quickstart.digits import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, digits: Path) -> Path:
    return make_project(tmp_path / "project", digits)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm_cluster.Cluster]:
    """A cluster of two nodes; tests of it are one xdist group."""
    if missing := slurm_cluster.missing():
        pytest.skip(f"{', '.join(missing)} not found: install slurm-wlm")
    with slurm_cluster.cluster(tmp_path_factory.mktemp("slurm") / "cluster") as made:
        yield made


@pytest.fixture(scope="session")
def overdue(slurm: slurm_cluster.Cluster) -> str:
    """A job that will have been ended for its time: submitted first and looked at last. Slurm
    counts in minutes, so its end is moved; it looks for such jobs every half minute."""
    id = slurm.ask(
        *("sbatch", "--parsable", "--job-name=overdue", "--time=1"),
        *("--output=" + str(slurm.folder / "job.log"), "--wrap=echo began; sleep 300"),
    )
    while "JobState=RUNNING" not in slurm.ask("scontrol", "show", "job", "-o", id):
        time.sleep(0.1)
    slurm.ask("scontrol", "update", f"jobid={id}", "EndTime=now")
    return id


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The fault matrix, whose rows may come from several processes."""
    from testing.fault_matrix import tables

    for table in tables(
        [report for reports in terminalreporter.stats.values() for report in reports]
    ):
        terminalreporter.write_line(f"\n{table}")
