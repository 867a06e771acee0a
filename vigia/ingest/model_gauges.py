"""What the last look at each model in charge found, as numbers for Prometheus."""

from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from vigia.domain.drift import brier_limit
from vigia.store.watched import InCharge

LABELS: Final = ("asset_model", "failure_mode", "version")


class ModelGauges:
    """The gauges of `found`, in place of those of before. A model that nobody has looked at yet has none; what is not known is left out."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, what: str) -> Gauge:
            return Gauge(f"vigia_model_{name}", what, LABELS, registry=registry)

        self._psi = gauge("psi_max", "Stability index of the input that moved furthest, beside machines as worn.")
        self._brier = gauge("brier", "Brier score of the predictions whose outcome is known.")
        self._limit = gauge("brier_limit", "The Brier score beyond which it warns.")
        self._held = gauge("held_share", "Share of the lives known that lay in the 80 % interval.")
        self._warnings = gauge("warnings", "How many of its limits the model is beyond.")

    def show(self, found: Sequence[InCharge]) -> None:
        """Of all models in charge; none when it is not known."""
        for gauge in (self._psi, self._brier, self._limit, self._held, self._warnings):
            gauge.clear()
        for one in found:
            values = {
                self._psi: max((moved["psi_at_like_wear"] for moved in one.inputs.values()), default=None),
                self._brier: one.resolved["brier"],
                self._limit: brier_limit(one.metrics),
                self._held: one.resolved["held"],
                self._warnings: len(one.warnings),
            }
            for gauge, value in values.items():
                if value is not None:
                    gauge.labels(one.asset_model, one.failure_mode, one.version).set(value)
