"""For plugin authors: a new distribution that works as it stands, the check of a plugin's whole
life, its reference.

scaffold.py    a distribution of the chosen kind, from templates/plugin
check.py       runs the check in a process of its own and reports what it found
lifecycle.py   that process: contract, imports, options, then the kind's own steps
in_process.py  the steps of datasets, families, metrics and hubs
in_workers.py  those of trainers and engines: their driver, a real worker, cancellation
placement.py   a trainer or an engine in the environment that it needs
cases.py       the case that the plugin's package brings, and what the package imports
fixtures.py    the model, records and release folder that every check uses
reference.py   Markdown from docstrings
"""

from .check import Report, Step, check_plugin
from .scaffold import new_plugin

__all__ = ["Report", "Step", "check_plugin", "new_plugin"]
