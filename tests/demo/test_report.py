from datetime import UTC, datetime, timedelta

import pytest

from vigia.demo.report import EngineScore, lead_figures, score
from vigia.store.pilot import EngineHistory

START = datetime(2026, 1, 1, tzinfo=UTC)


def history(ordered_hour: int | None, failed_hour: int | None = None) -> EngineHistory:
    def at(hour: int | None) -> datetime | None:
        return None if hour is None else START + timedelta(hours=hour)

    return EngineHistory("role", "ESN-0001", START, None, at(ordered_hour), at(failed_hour))


@pytest.mark.parametrize(
    ("ordered_hour", "verdict", "lead"),
    [(190, "caught", 10), (140, "caught", 60), (139, "early", 61), (191, "missed", 9), (201, "missed", None), (None, "missed", None)],
)
def test_an_order_is_caught_with_10_to_60_cycles_left(ordered_hour: int | None, verdict: str, lead: float | None) -> None:
    scored = score(history(ordered_hour), life=200)

    assert (scored.verdict, scored.lead) == (verdict, lead)


def test_an_order_raised_at_the_failure_is_no_lead() -> None:
    assert score(history(ordered_hour=201, failed_hour=201), life=200) == EngineScore("ESN-0001", None, failed=True)


def test_lead_figures_are_median_and_tenth_percentile() -> None:
    scores = [EngineScore(str(lead), float(lead), failed=False) for lead in range(1, 12)]

    assert lead_figures(scores) == (6.0, 2.0)
    assert lead_figures([]) == (None, None)
