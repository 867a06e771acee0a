"""Rollups and latest values made anew from the readings, by plain SQL: what those that are kept must equal."""

import psycopg

RECOUNT_1M = """
select point_id, date_bin('1 minute', ts, '2000-01-01 00:00Z') as bucket, count(value) filter (where quality = 192) as count,
       coalesce(sum(value) filter (where quality = 192), 0) as sum, min(value) filter (where quality = 192) as min,
       max(value) filter (where quality = 192) as max, max(ts) as last_ts,
       (array_agg(value order by ts desc, value desc nulls last))[1] as last,
       count(distinct date_bin('1 second', ts, '2000-01-01 00:00Z')) filter (where quality = 192 and value is not null) as good_seconds
from telemetry group by 1, 2 order by 1, 2
"""
PAIRS = (
    (
        RECOUNT_1M,
        "select point_id, bucket, count, sum, min, max, last_ts, last, bit_count(good_mask::bit(64)) from rollup_1m order by 1, 2",
    ),
    (
        RECOUNT_1M.replace("1 minute", "1 hour"),
        "select point_id, bucket, count, sum, min, max, last_ts, last, good_seconds from rollup_1h order by 1, 2",
    ),
    (
        "select distinct on (point_id) point_id, ts, value from telemetry order by point_id, ts desc, value desc nulls last",
        "select point_id, ts, value from point_latest order by point_id",
    ),
)


def check(dsn: str) -> None:
    with psycopg.connect(dsn, options="-c search_path=vigia") as connection:
        for recount, stored in PAIRS:
            assert connection.execute(stored.encode()).fetchall() == connection.execute(recount.encode()).fetchall()
        both = "select count(*) from point_latest l join telemetry_1m m on (m.point_id, m.bucket) = (l.point_id, l.minute)"
        assert connection.execute(both).fetchone() == (0,)
        of_latest = "select count(*) from point_latest where minute <> date_bin('1 minute', ts, '2000-01-01 00:00Z')"
        assert connection.execute(of_latest).fetchone() == (0,)
