"""A hub of one's own for rehearsals and tests: it speaks the Hugging Face, ModelScope, Git LFS and
git protocols over http.

    with serve(folder) as hub:
        HfApi(endpoint=hub.url, token=hub.token).create_repo("org/name")

One git repository a model is behind all protocols; large files are kept by their sha256.
Organisations need no creation: whoever has a write token may create `organisation/name` under any.
Needs the extra `rehearsal`.
"""

from __future__ import annotations

from .faults import Fault, Faults
from .server import Running, serve

__all__ = ["Fault", "Faults", "Running", "serve"]
