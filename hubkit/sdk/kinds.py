"""The kinds of plugin, each with its Protocol."""

from .dataset import DatasetAdapter
from .engine import Engine
from .exporter import Exporter
from .family import ModelFamily
from .hub import Hub
from .metric import Metric
from .trainer import Trainer

KINDS = {
    "family": ModelFamily,
    "dataset": DatasetAdapter,
    "trainer": Trainer,
    "engine": Engine,
    "exporter": Exporter,
    "metric": Metric,
    "hub": Hub,
}
