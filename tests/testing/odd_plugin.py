"""A trainer that does what a test says, called in a real worker; and which processes are left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil

from hubkit.environments import CURRENT, Environment, call
from hubkit.sdk import ModuleGroup, SilentRun, TrainInput, Vision

MODULE = """
import ctypes, json, os, signal, subprocess, sys, threading, time
from dataclasses import dataclass
from hubkit.sdk import *

@dataclass(frozen=True)
class Options:
    rank: int = 16
    name: str = "plain"

def done(**settings):
    return TrainOutput("adapter", "peft", "metrics.jsonl", 1, 1, 1, settings)

class Plugin:
    kind, name, sdk, Options = "trainer", "odd", "1.0", Options
    requirements = Requirements({modules}, "peft")

    def train(self, job, run):
{body}
"""


class Watcher(SilentRun):
    def __init__(self) -> None:
        self.reports: list[tuple[float, float, str, dict[str, float]]] = []
        self.notes: list[str] = []

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.reports.append((done, total, unit, numbers))

    def note(self, message: str) -> None:
        self.notes.append(message)


def job(tmp_path: Path, **options: Any) -> TrainInput:
    vision = Vision(56, 16, 1, 1, True, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    groups = {"llm": ModuleGroup("model", ("q_proj",))}
    (tmp_path / "out").mkdir(exist_ok=True)
    return TrainInput(
        tmp_path,
        tmp_path,
        groups,
        vision,
        tmp_path / "r.jsonl",
        tmp_path,
        tmp_path / "out",
        tmp_path / "scratch",
        7,
        options,
    )


def train(
    plugin: Any, tmp_path: Path, run: Any = None, environment: Environment = CURRENT, **rest: Any
) -> Any:
    folder = tmp_path / "worker"
    work = rest.pop("job", None) or job(tmp_path)
    return call(
        plugin, "train", work, environment=environment, run=run or Watcher(), folder=folder, **rest
    )


def wait_for(path: Path, seconds: float = 20) -> str:
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)
    return path.read_text()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(*pids: int, seconds: float = 2) -> bool:
    end = time.monotonic() + seconds
    while not all(gone(pid) for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
