"""Plugins: from entry points to validated classes (entries.py), by kind and name (plugins.py). Each
foreign one is imported in a process of its own first (first_import.py)."""
