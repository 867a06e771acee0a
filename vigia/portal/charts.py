"""Geometry of the charts the server draws. Positions are percentages of the plot, as text ready for SVG; templates only place them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import floor, log10


def percent(share: float) -> str:
    """A share of the plot as an SVG length, kept inside it."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def _coordinate(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.2f}"


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis. `value` is formatted by the page."""

    at: str
    value: float


@dataclass(frozen=True)
class TimeTick:
    """A labelled moment on the time axis."""

    at: str
    moment: datetime


@dataclass(frozen=True)
class LifeBar:
    """Remaining life on the axis all machines share: the band p10 to p90 and the median. `beyond`: the band leaves the axis."""

    start: str
    width: str
    mark: str
    beyond: bool


def life_bar(p10: float, p50: float, p90: float, maximum: float) -> LifeBar:
    """The bar of one machine on an axis from 0 to `maximum`."""
    low, high = max(0.0, p10) / maximum, max(0.0, p90) / maximum
    return LifeBar(percent(low), percent(max(0.006, min(1.0, high) - min(1.0, low))), percent(p50 / maximum), high > 1)


def nice_step(span: float, wanted: int) -> float:
    """A round distance between ticks: 1, 2, 2.5 or 5 times a power of ten, about `wanted` of them in `span`."""
    raw = span / max(1, wanted)
    if raw <= 0:
        return 1.0
    power = 10.0 ** floor(log10(raw))
    return next((factor * power for factor in (1.0, 2.0, 2.5, 5.0) if factor * power >= raw), 10 * power)


def scale(maximum: float, wanted: int = 4, minimum: float = 0.0) -> tuple[float, tuple[Tick, ...]]:
    """The axis's end (a round number at or above `maximum`) and its ticks from `minimum` on, measured from the left."""
    step = nice_step(maximum - minimum, wanted)
    count = max(1, -int(-(maximum - minimum) // step))
    end = minimum + count * step
    return end, tuple(Tick(percent(i / count), minimum + i * step) for i in range(count + 1))


def upwards(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    """The ticks of a vertical axis: measured from the top, as SVG does."""
    return tuple(Tick(f"{100 - float(tick.at.rstrip('%')):.2f}%", tick.value) for tick in ticks)


_TIME_STEPS = tuple(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688))


def time_ticks(start: datetime, end: datetime, wanted: int = 5) -> tuple[TimeTick, ...]:
    """About `wanted` moments between `start` and `end`, at whole steps from midnight."""
    span = end - start
    if span <= timedelta(0):
        return ()
    step = next((step for step in _TIME_STEPS if span / step <= wanted), _TIME_STEPS[-1])
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + -((midnight - start) // step) * step
    count = int((end - first) / step) + 1
    return tuple(TimeTick(percent((first + i * step - start) / span), first + i * step) for i in range(max(0, count)))


@dataclass(frozen=True)
class BandPoint:
    """A value with its interval at a moment."""

    at: datetime
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class BandChart:
    """A band over time in a plot of 100 x 100: paths for the interval and the middle, axes, where `now` is and how it may go on."""

    band: str
    middle: str
    now: str
    last_y: str
    x_ticks: tuple[TimeTick, ...]
    y_ticks: tuple[Tick, ...]
    wedge: str
    projected: str


def band_chart(points: Sequence[BandPoint], until: datetime, ends: tuple[datetime, datetime, datetime] | None = None) -> BandChart | None:
    """The band of `points` (in time order) with the axis running to `until`; None for fewer than two points.

    `ends` are the earliest, likely and latest moments at which the value is expected to reach zero: drawn as a wedge.
    """
    if len(points) < 2:  # noqa: PLR2004 - a line needs two ends
        return None
    start, end = points[0].at, max(until, points[-1].at)
    top, ticks = scale(max(point.high for point in points))

    def x(at: datetime) -> str:
        return _coordinate((at - start) / (end - start))

    def y(value: float) -> str:
        return _coordinate(1 - value / top)

    upper = " ".join(f"{x(point.at)},{y(point.high)}" for point in points)
    lower = " ".join(f"{x(point.at)},{y(point.low)}" for point in reversed(points))
    last = points[-1]
    wedge = projected = ""
    if ends is not None:
        wedge = f"M{x(last.at)},{y(last.high)} L{x(ends[2])},100 L{x(ends[0])},100 L{x(last.at)},{y(last.low)} Z"
        projected = f"M{x(last.at)},{y(last.middle)} L{x(ends[1])},100"
    return BandChart(
        band=f"M{upper} {lower} Z",
        middle="M" + " ".join(f"{x(point.at)},{y(point.middle)}" for point in points),
        now=f"{x(last.at)}%",
        last_y=f"{y(last.middle)}%",
        x_ticks=time_ticks(start, end),
        y_ticks=upwards(ticks),
        wedge=wedge,
        projected=projected,
    )


@dataclass(frozen=True)
class LineChart:
    """One line over time in a plot of 100 x 100, and the level to compare it with (a height in percent, or None)."""

    line: str
    level: str | None
    last_x: str
    last_y: str
    low: float
    high: float


@dataclass(frozen=True)
class Frame:
    """Where a line is drawn. `low` and `high` None: as the values and the level need; `width`: the share of the plot it takes."""

    low: float | None = None
    high: float | None = None
    width: float = 1.0


FITTING = Frame()


def line_chart(values: Sequence[float | None], level: float | None = None, frame: Frame = FITTING) -> LineChart | None:
    """Equally spaced values; None breaks the line. None for fewer than two values."""
    known = [value for value in values if value is not None]
    if len(known) < 2:  # noqa: PLR2004 - a line needs two ends
        return None
    compared = known if level is None else [*known, level]
    bottom = min(compared) if frame.low is None else frame.low
    top = max(compared) if frame.high is None else frame.high
    span = (top - bottom) or 1.0
    parts: list[str] = []
    pen = "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{_coordinate(frame.width * index / (len(values) - 1))},{_coordinate(1 - (value - bottom) / span)}")
        pen = "L"
    return LineChart(
        line=" ".join(parts),
        level=None if level is None else f"{_coordinate(1 - (level - bottom) / span)}%",
        last_x=percent(frame.width),
        last_y=f"{_coordinate(1 - (known[-1] - bottom) / span)}%",
        low=bottom,
        high=top,
    )


def thinned(values: Sequence[float | None], most: int) -> list[float | None]:
    """At most `most` values: the mean of each stretch (None where it has none)."""
    if len(values) <= most:
        return list(values)
    cuts = [round(i * len(values) / most) for i in range(most + 1)]
    means: list[float | None] = []
    for begin, end in pairwise(cuts):
        known = [value for value in values[begin:end] if value is not None]
        means.append(sum(known) / len(known) if known else None)
    return means


@dataclass(frozen=True)
class StackPart:
    """One stretch of a stacked bar."""

    code: str
    start: str
    width: str
    share: float


def stack(parts: Sequence[tuple[str, float]]) -> tuple[StackPart, ...]:
    """The parts in order; those of no length are left out, small ones keep a visible width."""
    total = sum(value for _code, value in parts)
    if total <= 0:
        return ()
    shown = [(code, value / total) for code, value in parts if value > 0]
    widths = [max(0.008, share) for _code, share in shown]
    whole = sum(widths)
    placed: list[StackPart] = []
    begin = 0.0
    for (code, share), width in zip(shown, widths, strict=True):
        placed.append(StackPart(code, percent(begin / whole), percent(width / whole), share))
        begin += width
    return tuple(placed)
