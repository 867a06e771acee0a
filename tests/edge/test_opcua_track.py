"""A point's values are told once each and in their order, whatever is cut, however the server's record is paged. No server here."""

import random

import pytest
from asyncua import ua

from vigia.edge.sources.opcua import track
from vigia.edge.sources.opcua.track import Track
from vigia.edge.sources.opcua.values import Reading, from_us, read
from vigia.sparkplug.datatypes import DataType
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD

US = 1_767_225_600_123_456


def reading(us: int, value: float | None = None, *, overflow: bool = False, quality: int = QUALITY_GOOD) -> Reading:
    return Reading(us, float(us) if value is None else value, quality, overflow)


def keeping(stored_us: int | None = None) -> Track:
    one = Track(keeps_history=True)
    one.begin(stored_us)
    return one


def test_the_first_value_ever_opens_no_hole() -> None:
    one = keeping()
    assert one.live(reading(5)) == [reading(5)]
    assert (one.hole, one.stored_us) == (None, 5)


def test_what_is_stored_already_is_not_told_again() -> None:
    one = keeping(5)
    assert one.live(reading(5)) == []
    assert one.live(reading(6)) == [reading(6)]


def test_a_value_stored_as_good_that_is_bad_now_is_told() -> None:
    one = keeping(5)
    assert one.live(reading(5, quality=QUALITY_BAD)) == [reading(5, quality=QUALITY_BAD)]


def test_a_clock_that_steps_back_is_followed() -> None:
    one = keeping(100)
    assert one.live(reading(40)) == [reading(40)]
    assert one.live(reading(41)) == [reading(41)]
    one.begin(one.stored_us)
    one.live(reading(50))
    assert one.hole is not None
    assert (one.hole.since_us, one.hole.until_us) == (41, 50)


def test_without_history_what_was_missed_is_passed_over() -> None:
    one = Track()
    one.begin(5)
    assert one.live(reading(9)) == [reading(9)]
    assert one.live(reading(12, overflow=True)) == [reading(12, overflow=True)]


def test_values_are_held_back_until_the_hole_before_them_is_filled() -> None:
    one = keeping(5)
    assert one.live(reading(9)) == []
    assert one.live(reading(10)) == []
    assert one.past([reading(5), reading(6), reading(7)]) == [reading(6), reading(7)]
    assert one.stored_us == 7, "the position may not pass what is missing"
    assert one.past([reading(7), reading(8), reading(9)]) == [reading(8)]
    assert one.hole is not None
    assert one.hole.reached
    assert one.close() == [reading(9), reading(10)]
    assert one.stored_us == 10


def test_values_of_the_same_moment_are_told_apart_by_their_value() -> None:
    one = keeping(5)
    one.live(reading(9))
    assert one.past([reading(6, 1.0)]) == [reading(6, 1.0)]
    assert one.past([reading(6, 1.0), reading(6, 2.0), reading(7)]) == [reading(6, 2.0), reading(7)]


def test_lost_values_open_a_hole_in_the_middle() -> None:
    one = keeping()
    one.live(reading(5))
    assert one.live(reading(9, overflow=True)) == []
    assert one.past([reading(5), reading(7), reading(9)]) == [reading(7)]
    assert one.close() == [reading(9, overflow=True)]


@pytest.mark.parametrize("seed", range(40))
def test_told_is_the_record_whatever_is_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that measures, a link that drops, values that overflow, a gateway that is killed with what it had not stored."""
    monkeypatch.setattr(track, "MOST_HELD", 3)
    chance = random.Random(seed)  # noqa: S311
    record: list[Reading] = []
    stored: list[Reading] = []
    position: int | None = None
    us = 0
    for _ in range(12):  # connections
        for _ in range(chance.randrange(5)):
            us += chance.randrange(1, 4)
            record.append(reading(us))
        if not record:
            continue
        one = keeping(position)
        told = one.live(record[-1])
        for _ in range(chance.randrange(30)):
            if one.hole is not None and chance.random() < 0.4:
                page = [data for data in record if one.hole.since_us <= data.us <= one.hole.until_us][: chance.randrange(1, 5)]
                told += one.past(page)
                if one.hole.reached:
                    told += one.close()
            else:
                us += chance.randrange(1, 4)
                record.append(reading(us))
                lost = chance.random() < 0.2
                if lost:
                    us += 1
                    record.append(reading(us))
                told += one.live(reading(us, overflow=lost))
            if chance.random() < 0.8:  # else it is killed before this reached the disk, if the connection ends now
                stored += told
                position, told = one.stored_us, []
    finished = keeping(position)
    told = finished.live(record[-1])
    if finished.hole is not None:
        told += finished.past(record) + finished.close()
    stored += told
    known = [data.us for data in record]
    assert [data.us for data in stored] == known[known.index(stored[0].us) :]


@pytest.mark.parametrize(
    ("source", "server", "us"),
    [(US, US + 5, US), (None, US + 5, US + 5), (None, None, 7_000), (-11_644_473_600_000_000, US + 5, US + 5)],
)
def test_the_time_is_the_sources_else_the_servers_else_when_it_came(source: int | None, server: int | None, us: int) -> None:
    stamps = [None if stamp is None else from_us(stamp) for stamp in (source, server)]
    data = ua.DataValue(ua.Variant(1.5), SourceTimestamp=stamps[0], ServerTimestamp=stamps[1])
    assert read(data, DataType.DOUBLE, None, 7) == Reading(us, 1.5, QUALITY_GOOD)


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        (1.5, DataType.INT32),
        ("text", DataType.DOUBLE),
        (2**40, DataType.INT32),
        (True, DataType.DOUBLE),
        (1, DataType.BOOLEAN),
        (b"", DataType.STRING),
    ],
)
def test_a_value_that_the_point_cannot_hold_is_bad(value: object, datatype: DataType) -> None:
    reading = read(ua.DataValue(ua.Variant(value), SourceTimestamp=from_us(US)), datatype, None, 0)
    assert (reading.value, reading.quality) == (None, QUALITY_BAD)


def test_a_whole_number_may_be_a_real_one() -> None:
    value = read(ua.DataValue(ua.Variant(3, ua.VariantType.Int16)), DataType.DOUBLE, None, 1).value
    assert (value, type(value)) == (3.0, float)
