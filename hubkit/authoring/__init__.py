"""For authors of plugins: a new distribution that works as it stands, the check of a plugin's whole
life, its reference.

scaffold.py    a distribution of the chosen kind from templates/plugin
check.py       runs the check in a process of its own and tells what it found
_life.py       that process: contract, imports, options, then the kind's own steps
_here.py       those of datasets, families, metrics and hubs
_workers.py    those of trainers and engines: their driver, a real worker, cancellation
_brought.py    the case that the plugin's package brings, and what the package imports
_elsewhere.py  a trainer or an engine in the environment that it needs
fixtures.py       the model, records and release folder that every check uses
reference.py   Markdown from docstrings
"""

from .check import Report, Step, check_plugin
from .scaffold import new_plugin

__all__ = ["Report", "Step", "check_plugin", "new_plugin"]
