"""The child of `serving`: `python -m hubkit_lmdeploy.server SETTINGS` runs LMDeploy's api_server in
this process.

Called as a function and not by its own command line, which takes the API key as an argument that
everybody can read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hubkit.sdk import PluginError


def only_data_urls() -> None:
    """A picture comes with its request. LMDeploy would also fetch addresses, and read whatever file
    of this machine a request names (lmdeploy 0.18, vl/media/connection.py).

    Raises:
        PluginError: this LMDeploy reads pictures in another way.
    """
    from lmdeploy.vl.media import connection

    readers = ("_load_file_url", "_load_http_url")
    if not all(hasattr(connection, name) for name in readers):
        raise PluginError(
            "this LMDeploy reads pictures in a way that hubkit does not know",
            "install lmdeploy 0.18",
        )
    for name in readers:
        setattr(connection, name, _refuse)


def _refuse(*_: Any, **__: Any) -> None:
    raise ValueError("a picture must be a data URL")


def main(settings: dict[str, Any]) -> None:
    from lmdeploy import ChatTemplateConfig
    from lmdeploy.serve.openai.api_server import serve

    from .loading import engine_settings
    from .options import Options

    only_data_urls()
    options = Options(**settings["options"])
    key_file, template = settings["api_key_file"], options.chat_template
    serve(
        settings["model"],
        model_name=settings["name"],
        backend=settings["backend"],
        backend_config=engine_settings(settings["backend"], options),
        chat_template_config=ChatTemplateConfig(template, model_path=settings["model"])
        if template
        else None,
        server_name=settings["host"],
        server_port=settings["port"],
        allow_origins=[],
        api_keys=[Path(key_file).read_text("utf-8").strip()] if key_file else None,
        trust_remote_code=True,
        log_level="WARNING",
    )


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
