"""The command line: one file per verb. Each parses, calls one public function and shows what came
back.

A verb's module is imported when it is called, so that `hubkit --help` costs little more than Python
itself.
"""

from __future__ import annotations

from importlib import import_module

import click

from .. import __version__
from ._options import loudness, with_loudness

_RELEASE = {
    "quickstart": "Make, publish and verify a tiny model from real handwriting, in minutes.",
    "init": "Write a release.yaml from your base, data and adapter.",
    "plan": "Show which stages would run, and why.",
    "release": "Run a release: data, adapter, model, card, hubs, proof.",
    "launch": "Print a release as a file for SkyPilot or Kubernetes.",
    "rehearse": "Publish to a local hub with the real clients, and prove it.",
}
_DATA = {"prepare": "Check a dataset, repair it, split it, report on it; or have one made."}
_FOLDERS = {
    "assemble": "Make a base of a language model and a vision tower.",
    "merge": "Merge an adapter into a base model.",
    "convert": "Convert a model to transformers' own layout, or back.",
    "export": "Write a model in another form, such as GGUF.",
    "check": "Check a model folder: structure, shapes, files.",
    "smoke": "Ask a model about pictures; fail if it does not answer properly.",
    "serve": "Serve a model over OpenAI's API.",
    "evaluate": "Score a model, beside its base, on a dataset.",
    "card": "Write a model card for a folder.",
    "track": "Make a folder a release: manifest, audit, Git LFS commit.",
    "push": "Push a tracked folder to hubs.",
    "verify": "Compare what a hub has with the folder's manifest.",
    "withdraw": "Undo a push, and say what stays public.",
    "diff": "Compare a folder with a hub, or two hubs.",
}
_TOOLS = {
    "demo": "Chat with a model about pictures, on a local page.",
    "hub": "Serve a hub of your own to rehearse on.",
    "login-status": "Show who you are at each hub, and where the token comes from.",
    "env": "Build, check, list and remove the locked environments of plugins.",
    "doctor": "Check git, git-lfs, disk, environments and tokens.",
    "plugins": "List, write and check plugins.",
    "schema": "Print the JSON schema of release.yaml.",
}
_SECTIONS = {"Release": _RELEASE, "Data": _DATA, "Model folders": _FOLDERS, "Tools": _TOOLS}
_SUMMARIES = {**_RELEASE, **_DATA, **_FOLDERS, **_TOOLS}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUMMARIES:
            return None
        module = import_module(f".{cmd_name.replace('-', '_')}", __name__)
        command: click.Command = with_loudness(module.command)
        command.short_help = _SUMMARIES[cmd_name]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _SUMMARIES and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], _SUMMARIES, 1)
            hint = f" Did you mean {close[0]!r}?" if close else " See hubkit --help."
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(verbs.items()))


@click.group(
    cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="hubkit")
def cli() -> None:
    """From a fine-tuned vision-language model to a verified public release.

    New here? `hubkit quickstart`, then `hubkit init`.
    """


cli.params += loudness()
