"""LLaVA-format JSON datasets."""
