"""The model card: what people see first. Typed facts in, Markdown in English and Chinese, pictures
and metadata out.

facts.py     CardInput and its parts: everything that a card can say
license.py   the base model's licence and where it was read
metadata.py  the front matter that hubs index
written.py   the front matter of any README.md, held to the hubs' rules without asking them
markdown.py  text from datasets and models made harmless
citation.py  BibTeX of the release and of its family's paper
figures.py   loss curve and sample pictures as reproducible PNG
render.py    all of it together: `render_card` (bytes) and `write_card` (files)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...sdk.lazy import lazily

if TYPE_CHECKING:
    from .facts import (
        Author,
        Base,
        CardInput,
        Dataset,
        Download,
        Exchange,
        License,
        Lineage,
        LossPoint,
        MadeFrom,
        OtherForm,
        Relation,
        Sample,
        Smoke,
        Training,
    )
    from .license import read_license
    from .metadata import identity_problems
    from .render import render_card, write_card

_HOMES = {
    "facts": "Author Base CardInput Dataset Download Exchange License Lineage LossPoint MadeFrom "
    "OtherForm Relation Sample Smoke Training",
    "license": "read_license",
    "metadata": "identity_problems",
    "render": "render_card write_card",
}
"""Where each name is: a release file is read without them."""

__all__ = [
    "Author",
    "Base",
    "CardInput",
    "Dataset",
    "Download",
    "Exchange",
    "License",
    "Lineage",
    "LossPoint",
    "MadeFrom",
    "OtherForm",
    "Relation",
    "Sample",
    "Smoke",
    "Training",
    "identity_problems",
    "read_license",
    "render_card",
    "write_card",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOMES)
