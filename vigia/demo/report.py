"""What a run came to: the before/after of a pilot, as a table for people and a JSON object for programs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal

from vigia.store.pilot import EngineHistory

SOONEST_USEFUL = 60
LATEST_USEFUL = 10


@dataclass(frozen=True)
class EngineScore:
    """How one engine's first order stood to its recorded life; `lead` in cycles, None without an order before the failure."""

    serial_number: str
    lead: float | None
    failed: bool

    @property
    def verdict(self) -> str:
        """`caught`: ordered with 10 to 60 cycles left; `early`: with more; `missed`: with fewer, or not at all."""
        if self.lead is None or self.lead < LATEST_USEFUL:
            return "missed"
        return "early" if self.lead > SOONEST_USEFUL else "caught"


def score(engine: EngineHistory, life: int) -> EngineScore:
    """Score an engine whose recorded life is `life` cycles, one an hour from its installation."""
    lead = None
    if engine.ordered_at is not None:
        lead = life - (engine.ordered_at - engine.installed_at) / timedelta(hours=1)
        lead = lead if lead > 0 else None
    return EngineScore(engine.serial_number, lead, failed=engine.failed_at is not None)


@dataclass(frozen=True)
class RunReport:
    """The figures of a run. Leads in cycles; `availability` is EN 15341 M10 (time-based), a share; credits in `currency`."""

    mode: str
    rows_sent: int
    rows_stored: int
    rows_duplicated: int
    holes: int
    dead_letters: int
    engines: int
    caught: int
    early: int
    missed: int
    failures: int
    lead_cycles_median: float | None
    lead_cycles_p10: float | None
    work_orders: int
    false_orders: int
    availability: float | None
    unknown_hours: float
    hours_delivered: float
    credits: dict[str, str]
    fleet_hours: int
    wall_s: float
    database: str
    broker: str
    model: str

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))


def lead_figures(scores: Sequence[EngineScore]) -> tuple[float | None, float | None]:
    """Median and 10th percentile of the leads, in cycles; None without any."""
    leads = sorted(engine.lead for engine in scores if engine.lead is not None)
    if not leads:
        return None, None
    if len(leads) == 1:
        return leads[0], leads[0]
    return statistics.median(leads), statistics.quantiles(leads, n=10, method="inclusive")[0]


def money(amounts: Mapping[str, Decimal]) -> str:
    """Amounts by currency, in a reader's form."""
    return ", ".join(f"{amount:,.0f} {currency}" for currency, amount in sorted(amounts.items())) or "0"


def table(report: RunReport) -> str:
    """The table a run ends with; the same rows for both modes, so that two runs are a before and an after."""

    def number(value: float | None, digits: int = 0) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    rows = [
        ("engines flown", number(report.engines)),
        ("failures", number(report.failures)),
        ("ordered with 10-60 cycles left", number(report.caught)),
        ("lead time, cycles: median / p10", f"{number(report.lead_cycles_median)} / {number(report.lead_cycles_p10)}"),
        ("false orders", number(report.false_orders)),
        ("availability (EN 15341 M10)", "-" if report.availability is None else f"{report.availability:.2%}"),
        ("hours delivered", number(report.hours_delivered)),
        ("credits", money({currency: Decimal(amount) for currency, amount in report.credits.items()})),
        ("readings sent / stored", f"{report.rows_sent:,} / {report.rows_stored:,}"),
        ("readings doubled / holes", f"{report.rows_duplicated} / {report.holes}"),
    ]
    width = max(len(name) for name, _ in rows)
    title = "predict-and-fix" if report.mode == "fix" else "fly to failure (find-and-fix)"
    return "\n".join([f"  {title}, {report.fleet_hours} hours of fleet time", *(f"  {name:<{width}}  {text}" for name, text in rows)])
