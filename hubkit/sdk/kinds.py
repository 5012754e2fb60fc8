"""The kinds of plugin, each with its Protocol."""

from .dataset import DatasetAdapter
from .engine import Engine
from .family import ModelFamily
from .hub import Hub
from .metric import Metric
from .trainer import Trainer

KINDS = {
    "family": ModelFamily,
    "dataset": DatasetAdapter,
    "trainer": Trainer,
    "engine": Engine,
    "metric": Metric,
    "hub": Hub,
}
