"""What libraries log and warn of does not reach people."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys, warnings
from hubkit import cli, __main__

def talk():
    from huggingface_hub.utils import logging
    from modelscope_hub.utils.logger import get_logger
    for logger in (get_logger("download"), logging.get_logger("huggingface_hub.x")):
        logger.error("retrying in 2 s")
    warnings.warn("deprecated")
    print("done")

cli.cli.main = lambda *_, **__: talk()
__main__.main()
"""


def test_handlers_of_libraries_say_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
