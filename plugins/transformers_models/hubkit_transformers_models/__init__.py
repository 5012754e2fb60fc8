"""The family of all models that transformers has a class for pictures and text for, and that have
no family of their own: what there is to know is asked of that class, in a worker.
"""

from .family import TransformersFamily

__all__ = ["TransformersFamily"]
