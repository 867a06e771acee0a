"""The streaming watch word for word, a reading at a time: the slow truth that the kernel is measured by."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigia.analytics.detectors import Readings, Settings
from vigia.analytics.kernels import level as level_kernel
from vigia.analytics.kernels import watch as kernel
from vigia.analytics.kernels.watch_state import DRIFT, DROPOUT, FLAT, NO_FAULT, RATE, SATURATION, SENSOR

Event = tuple[int, int]  # kind, +1 or -1
Record = Any  # of STATE


def suspicion(s: Record, x: float, low: float, high: float, how: Settings) -> int:
    if not math.isfinite(x):
        return DROPOUT
    s["same"] = min(int(s["same"]) + 1, kernel.LONGEST_ROW) if x == s["last"] and s["last_ts"] else 0
    if s["learned"] < how.learn:
        return NO_FAULT
    lowest, highest = s["lowest"], s["highest"]
    if x == 0 and (lowest > highest - lowest or highest < lowest - highest):
        return DROPOUT
    if low < high and ((x >= high and highest < high) or (x <= low and lowest > low)):
        return SATURATION
    return FLAT if s["variance"] > 0 and s["same"] >= max(how.flat, how.flat_ratio * (int(s["longest"]) + 1)) else NO_FAULT


def sensor(s: Record, suspect: int, how: Settings) -> list[Event]:
    had = int(s["fault"])
    if suspect == NO_FAULT:
        s["suspect"] = s["run"] = s["fault"] = NO_FAULT
        return [(SENSOR, -1)] if had else []
    s["run"] = min(int(s["run"]) + 1, kernel.LONGEST_RUN) if s["suspect"] == suspect else 1
    s["suspect"] = suspect
    if had == suspect or s["run"] < (1 if suspect == FLAT else how.faulty):
        return []
    s["fault"] = suspect
    return [*([(SENSOR, -1)] if had else []), (SENSOR, 1)]


def learn(s: Record, x: float, elapsed: float, how: Settings) -> None:
    s["learned"] += 1
    n = int(s["learned"])
    s["longest"] = max(s["longest"], s["same"])
    if n == 1:
        s["mean"], s["lowest"], s["highest"], s["spread"] = x, x, x, 1.0
        return
    s["lowest"], s["highest"] = min(float(s["lowest"]), x), max(float(s["highest"]), x)
    rate, usual = abs(x - float(s["last"])) / elapsed, float(s["usual"])
    if n > level_kernel.OUTLIER_AFTER and usual > 0:
        rate = min(rate, level_kernel.OUTLIER_RATE * usual)
    s["usual"] = usual + (rate - usual) / (n - 1)
    if n <= how.learn:
        s["memory"] = float(s["memory"]) + elapsed
    d, variance = x - float(s["mean"]), float(s["variance"])
    if n > level_kernel.OUTLIER_AFTER and variance > 0:
        limit = level_kernel.OUTLIER_SIGMA * math.sqrt(variance)
        d = max(-limit, min(limit, d))
    s["mean"] += d / n
    s["variance"] = variance + (d * (d - d / n) - variance) / n
    if n == how.learn:
        s["memory"] = float(s["memory"]) * how.memory


def rate(s: Record, x: float, elapsed: float, how: Settings, *, learns: bool) -> list[Event]:
    change, usual, before = (x - float(s["last"])) / elapsed, float(s["usual"]), int(s["climb"])
    if abs(change) > how.fast * usual > 0:
        sign = 1 if change > 0 else -1
        s["climb"] = sign * min(abs(before) + 1, kernel.LONGEST_RUN) if before * sign > 0 else sign
    else:
        s["climb"] = 0
        if learns:
            s["usual"] = usual + min(elapsed / (float(s["memory"]) + elapsed), how.heaviest) * (abs(change) - usual)
    if abs(int(s["climb"])) == how.climbs and abs(before) < how.climbs:
        return [(RATE, 1)]
    return [(RATE, -1)] if abs(before) >= how.climbs > abs(int(s["climb"])) else []


def drift(s: Record, x: float, taught: float, how: Settings) -> list[Event]:
    n, f = int(s["learned"]), np.float32
    sigma = math.sqrt(float(s["variance"]) * n / (n - 1))
    ratio = (f((x - float(s["mean"])) * (1.0 / sigma)) - s["level"]) / s["spread"]
    z = max(f(-how.clip), min(f(how.clip), ratio))
    s["recent"] += f(how.weight) * (z - s["recent"])
    if s["direction"]:
        if s["recent"] * f(s["direction"]) >= f(how.clear):
            return []
        s["up"], s["down"], s["direction"] = 0.0, 0.0, 0
        return [(DRIFT, -1)]
    up, down = max(f(0), s["up"] + z - f(how.slack)), max(f(0), s["down"] - z - f(how.slack))
    s["up"], s["down"] = up, down
    if taught > 0 and max(up, down) <= f(how.guard):
        weight = min(f(taught) / (s["memory"] + f(taught)), f(how.heaviest))
        pulled = max(f(-how.robust), min(f(how.robust), ratio))
        level = s["level"] + weight * pulled * s["spread"]
        spread = s["spread"] * (f(1) + weight * (level_kernel.SIGMA_OF_MEAN * abs(pulled) - f(1)))
        s["level"], s["spread"] = max(f(-how.follow), min(f(how.follow), level)), max(f(how.least), min(f(how.most), spread))
    sure = s["memory"] >= f(how.usual * how.memory)
    if max(up, down) <= f(how.threshold if sure else how.threshold * how.unsure):
        return []
    s["direction"] = 1 if up > down else -1
    return [(DRIFT, 1)]


def step(s: Record, ts: int, x: float, about: tuple[float, float, int, int], how: Settings) -> list[Event]:
    """What one reading starts and ends; `about` is low, high, held_from, new_from."""
    low, high, held, renewed = about
    if ts <= s["last_ts"]:
        return []
    events: list[Event] = []
    if 0 < renewed < ts and s["epoch"] < renewed // kernel.US and not s["fault"]:
        events += [(DRIFT, -1)] if s["direction"] else []
        events += [(RATE, -1)] if abs(int(s["climb"])) >= how.climbs else []
        for name in ("mean", "variance", "memory", "level", "spread", "up", "down", "recent", "usual", "lowest", "highest"):
            s[name] = 0.0
        s["learned"], s["longest"], s["direction"], s["climb"], s["epoch"] = 0, 0, 0, 0, renewed // kernel.US
    suspect = suspicion(s, x, low, high, how)
    events += sensor(s, suspect, how)
    if not math.isfinite(x):
        return events
    elapsed, learns = (ts - int(s["last_ts"])) * level_kernel.A_US, ts <= held or held < renewed < ts
    if suspect == NO_FAULT:
        if s["learned"] < how.learn or not s["variance"] > 0:
            if learns:
                learn(s, x, elapsed, how)
        elif s["same"] <= s["longest"]:
            events += rate(s, x, elapsed, how, learns=learns)
            events += drift(s, x, elapsed if learns else 0.0, how)
    s["last_ts"], s["last"] = ts, x
    return sorted(events, key=lambda event: (event[1], event[0]))  # what ends makes room first


def slowly(state: NDArray[np.void], readings: Readings, how: Settings) -> list[tuple[int, int, int]]:
    """(reading, kind, change) of what starts and is shown, and of its end: every reading by itself, in the order of (ts, row)."""
    about, found = readings.about, []
    for i in np.lexsort((readings.row, readings.ts)).tolist():
        row = int(readings.row[i])
        known = (float(about.low[row]), float(about.high[row]), int(about.held_from[row]), int(about.new_from[row]))
        for kind, change in step(state[row], int(readings.ts[i]), float(readings.value[i]), known, how):
            bit = 1 << kind
            shown = np.count_nonzero(state["shown"][about.leader == about.leader[row]] & bit)
            if change == 1 and shown < how.shown:
                state["shown"][row] |= bit
                found.append((i, kind, 1))
            elif change == -1:
                if state["shown"][row] & bit:
                    found.append((i, kind, -1))
                state["shown"][row] &= ~bit
    return found
