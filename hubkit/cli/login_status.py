"""`hubkit login-status`"""

from __future__ import annotations

import click

from ._options import as_json, mapping


@click.command("login-status")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="HUB.KEY=VALUE",
    help="An option of one hub: huggingface.endpoint=URL.",
)
@as_json
def command(options: tuple[str, ...], as_json: bool) -> None:
    """Show who you are at each hub and where the token comes from; never the token."""
    from ..api.hubs import login_status
    from ._reporters import emit
    from ._show import table

    found = login_status(mapping(options))
    if as_json:
        from ..sdk.codec import encode

        for name, login in found.items():
            emit("login", {"hub": name, **encode(login)})
        return
    rows = [
        (name, login.state, login.user, login.source, login.remedy) for name, login in found.items()
    ]
    table("", ("hub", "login", "user", "from", "what to do"), rows)
