"""What a card says of a metric, in the metric's own words."""

from __future__ import annotations

from ..registry.plugins import plugins


def title_of(metric: str) -> str:
    """The name that hubs show; `metric` itself where the plugin has none or is not installed."""
    return str(getattr(_installed(metric), "title", metric))


def rule_of(metric: str, language: str) -> str:
    """When an answer counts, as the rest of a sentence of the card; empty where nothing says it."""
    return str(getattr(_installed(metric), "rules", {}).get(language, ""))


def _installed(metric: str) -> object:
    return plugins().of("metric").get(metric)
