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
