"""What may follow on the command line, for click's shell completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Completer = Callable[[click.Context, click.Parameter, str], Sequence[CompletionItem]]


def stages(
    context: click.Context, parameter: click.Parameter, written: str
) -> Sequence[CompletionItem]:
    """Names of stages, in their order."""
    from ..api.names import stage_names

    return _beginning(stage_names(), written)


def plugins(*kinds: str) -> Completer:
    """Names of the installed plugins of `kinds`; of all without any."""

    def complete(
        context: click.Context, parameter: click.Parameter, written: str
    ) -> Sequence[CompletionItem]:
        from ..api.names import plugin_names

        return _beginning(plugin_names(*kinds), written)

    return complete


def files(
    context: click.Context, parameter: click.Parameter, written: str
) -> Sequence[CompletionItem]:
    """The shell's own, for arguments that may also be something else than a file."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(written, type="file")]


def _beginning(names: Sequence[str], written: str) -> Sequence[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(written)]
