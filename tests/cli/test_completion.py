"""Completion in bash, with the Tab key."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from testing.terminal import started

START = 'eval "$(_HUBKIT_COMPLETE=bash_source hubkit)"\n'
WORDS = [
    ("hubkit rele\t", "release "),
    ("hubkit release --un\t", "--until "),
    ("hubkit release --until pa\t", "package "),
    ("hubkit smoke --engine tr\t", "transformers "),
    ("hubkit prepare --format sh\t", "sharegpt "),
    ("hubkit evaluate --metric exa\t", "exact_match "),
    ("hubkit assemble --family ne\t", "nextgpt "),
    ("hubkit env build xt\t", "xtuner "),
    ("hubkit plugins docs fo\t", "foodieqa "),
    ("hubkit check Int\t", "InternVL2-2B"),
    ("hubkit plan my\t", "my.yaml "),
]


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_tab_completes_commands_names_and_files(tmp_path: Path) -> None:
    (tmp_path / "InternVL2-2B").mkdir()
    (tmp_path / "my.yaml").touch()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    bash = ["bash", "--norc", "--noprofile", "-i"]
    with started(bash, tmp_path, PATH=path, PS1="$ ", INPUTRC=os.devnull) as terminal:
        terminal.type(START + "echo ready\n")
        terminal.wait_for("\rready\r\n")
        for typed, completed in WORDS:
            terminal.type(typed)
            terminal.wait_for(f"{typed.rpartition(' ')[0]} {completed}", 30)
            terminal.type("\x15")  # Ctrl-U: an empty line again
