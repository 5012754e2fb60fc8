"""The demo: a page on this machine where people chat with a model, or with it and its base side by
side.

The page talks to one or two servers (`hubkit.inference.serving`) over loopback. Nothing else is
reached: no tunnel, no statistics, no fonts or scripts from elsewhere.
"""

from .launch import Launched, demo

__all__ = ["Launched", "demo"]
