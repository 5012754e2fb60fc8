"""Drivers that take a plugin through its real life cycle and say in the contract's words where it
departs from it.

    from hubkit.sdk.testing import check_dataset

    def test_conformance(tmp_path):
        check_dataset(MyDataset(), tmp_path / "data.json", 3)

Each raises ConformanceError, an AssertionError; what the plugin itself raises passes through.
"""

from ._base import ConformanceError, check_contract
from ._dataset import check_dataset
from ._engine import check_engine
from ._exporter import check_exporter
from ._family import check_family
from ._hub import check_hub
from ._metric import check_metric
from ._processing import check_processing
from ._serving import check_serving
from ._trainer import check_trainer
from .cases import (
    DatasetCase,
    EngineCase,
    ExporterCase,
    FamilyCase,
    HubCase,
    MetricCase,
    Parts,
    TrainerCase,
    Undriven,
)

__all__ = [
    "ConformanceError",
    "DatasetCase",
    "EngineCase",
    "ExporterCase",
    "FamilyCase",
    "HubCase",
    "MetricCase",
    "Parts",
    "TrainerCase",
    "Undriven",
    "check_contract",
    "check_dataset",
    "check_engine",
    "check_exporter",
    "check_family",
    "check_hub",
    "check_metric",
    "check_processing",
    "check_serving",
    "check_trainer",
]
