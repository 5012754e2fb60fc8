"""Adapters: one file per format, listed in formats.py; adapter.py is what all are read into."""
