"""A failure case: one asset, one failure mode, from the first sign to the end of the work."""

from dataclasses import dataclass
from datetime import datetime

UNSPECIFIED = "unspecified"
"""The failure mode of a machine that failed before anything predicted how; the technician's cause code names it later."""


@dataclass(frozen=True)
class FailureCase:
    """At most one is open per asset and failure mode. `failed_at`: the machine did fail.

    `model_rule_id`: the rule that opened it, if the contract's costs chose it.
    """

    failure_case_id: int
    customer_id: int
    role_id: int
    asset_id: int
    failure_mode: str
    opened_at: datetime
    closed_at: datetime | None
    failed_at: datetime | None
    prediction_id: int | None
    model_rule_id: int | None = None

    @property
    def open(self) -> bool:
        """Whether there is still something to do."""
        return self.closed_at is None
