"""The Hugging Face Hub, or a server that speaks its API, as a hub."""

from .hub import HuggingFaceHub
from .options import Options

__all__ = ["HuggingFaceHub", "Options"]
