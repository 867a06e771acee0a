"""A sensor leaves the level it had when the machine was healthy, and stays away.

Each point's baseline (mean and deviation) is learned over its first readings. From then on an exponentially weighted mean and mean absolute
deviation follow it, so that a baseline learned in the morning still holds at night: weighted by the time between readings, as a low-pass
filter of first order (weight = elapsed / (memory + elapsed)), taught by nothing further out than `robust` sigmas, by nothing while a
sum is high, and never further from the baseline than `follow` sigmas: a slow decline must not become the new normal.

A two-sided CUSUM (Page, "Continuous inspection schemes", 1954) adds up what deviates by more than `slack` sigma; at `threshold` sigma a
drift starts, and it ends when the recent mean deviation is back under `clear`. A single wild reading counts no more than `clip`, so it
takes several to start one.

False alarms: with a known baseline and normal noise the two-sided CUSUM alarms on average once in more than 10^20 readings at the
defaults (Siegmund: (exp(2 k b) - 2 k b - 1) / 4 k^2, k = slack, b = threshold + 1.17). What limits it is the learned baseline: with 50
readings the mean is off by up to half a sigma (3.5 standard errors), which leaves k = 1 and 10^17 readings. A machine that swings more
slowly than those readings last shortens this: until a baseline holds a usual day a drift starts only at `unsure` times the threshold. So
does an operating point that moves: before a drift raises an alarm, `mode` tells whether a setting has moved.

One cause moves many sensors of a machine. While `shown` drifts of a group are under way, further ones start silently: the
first to leave are the ones reported.
"""

from vigia.analytics.kernels.watch_state import Seen, Settings

DEFAULTS = Settings(
    learn=50,
    slack=1.5,
    threshold=20.0,
    usual=86_400.0,
    unsure=10.0,
    clip=5.0,
    clear=1.0,
    robust=3.5,
    follow=2.0,
    least=0.7,
    most=2.0,
    weight=0.2,
    guard=10.0,
    memory=20.0,
    heaviest=0.02,
    faulty=5,
    flat=30,
    flat_ratio=10,
    fast=6.0,
    climbs=4,
    shown=3,
)


def explain(seen: Seen, value: float, settings: Settings) -> tuple[float, dict[str, float | str]]:
    """The score, in multiples of the threshold, and why."""
    why: dict[str, float | str] = {
        "direction": "up" if seen.size > 0 else "down",
        "sigmas": round(abs(seen.size), 2),
        "value": value,
        "baseline": seen.level,
        "sigma": seen.sigma,
        **learned(seen),
    }
    return seen.total / settings.threshold / (settings.unsure if seen.duration < settings.usual else 1.0), why


def learned(seen: Seen) -> dict[str, float | str]:
    """What the baseline rests on."""
    return {"learned_from": int(seen.learned), "learned_over_h": float(f"{seen.duration / 3_600:.3g}")}
