"""Plugins: entry points to validated classes (plugins.py), each foreign one imported in a process
of its own first (first_import.py)."""
