-- Readings, their rollups and the latest of each point.

-- name: ensure_telemetry_room
select ensure_telemetry_room(%(from_ts)s, %(to_ts)s)

-- name: copy_telemetry
copy telemetry (point_id, ts, value, quality) from stdin (format binary)

-- name: merge_rollups
-- Partials of new readings, one a (point, minute), into both rollups. Adding is exact whatever the order of batches and writers: what a
-- minute gains in good seconds is the difference between its mask before and after, under its row's lock.
-- Rows are locked in the order of their keys, so that writers wait for each other and never in a circle.
with partial as (
    select *
    from unnest(%(point_id)s, %(bucket)s, %(counted)s, %(total)s, %(minimum)s, %(maximum)s, %(last_ts)s, %(last)s, %(good_mask)s)
        as p (point_id, bucket, count, sum, min, max, last_ts, last, good_mask)
), minute as (
    insert into telemetry_1m as m (point_id, bucket, count, sum, min, max, last_ts, last, good_mask)
    select * from partial order by point_id, bucket
    on conflict (point_id, bucket) do update set
        count = m.count + excluded.count,
        sum = m.sum + excluded.sum,
        min = least(m.min, excluded.min),
        max = greatest(m.max, excluded.max),
        last_ts = greatest(m.last_ts, excluded.last_ts),
        last = case when excluded.last_ts > m.last_ts
                      or (excluded.last_ts = m.last_ts and (m.last is null or excluded.last > m.last)) then excluded.last else m.last end,
        good_mask = m.good_mask | excluded.good_mask
    returning new.point_id, new.bucket, bit_count(new.good_mask::bit(64)) - coalesce(bit_count(old.good_mask::bit(64)), 0) as gained
)
insert into telemetry_1h as h (point_id, bucket, count, sum, min, max, last_ts, last, good_seconds)
select p.point_id, date_bin('1 hour', p.bucket, timestamptz '2000-01-01 00:00Z') as hour,
       sum(p.count), sum(p.sum), min(p.min), max(p.max), max(p.last_ts), (array_agg(p.last order by p.last_ts desc))[1], sum(m.gained)
from partial p join minute m using (point_id, bucket)
group by p.point_id, hour
order by p.point_id, hour
on conflict (point_id, bucket) do update set
    count = h.count + excluded.count,
    sum = h.sum + excluded.sum,
    min = least(h.min, excluded.min),
    max = greatest(h.max, excluded.max),
    last_ts = greatest(h.last_ts, excluded.last_ts),
    last = case when excluded.last_ts > h.last_ts
                  or (excluded.last_ts = h.last_ts and (h.last is null or excluded.last > h.last)) then excluded.last else h.last end,
    good_seconds = h.good_seconds + excluded.good_seconds

-- name: merge_latest
-- Only what is newer replaces; of two readings at the same moment the greater value stays, whichever came first.
insert into point_latest as l (point_id, ts, value, quality)
select * from unnest(%(point_id)s, %(ts)s, %(value)s, %(quality)s) as n (point_id, ts, value, quality) order by n.point_id
on conflict (point_id) do update set ts = excluded.ts, value = excluded.value, quality = excluded.quality
where excluded.ts > l.ts or (excluded.ts = l.ts and (l.value is null or excluded.value > l.value))

-- name: latest_of
select point_id, ts, value, quality from point_latest where point_id = any(%(point_ids)s)

-- name: mark_latest
-- What a death or a birth says of the latest readings of points.
update point_latest set quality = %(quality)s where point_id = any(%(point_ids)s) and quality = %(was)s

-- name: readings_around
-- Good readings of a point from `from_ts` to `until_ts`, with the neighbour on either side.
(select ts, value from telemetry where point_id = %(point_id)s and ts < %(from_ts)s and value is not null and quality = 192 order by ts desc limit 1)
union all
(select ts, value from telemetry where point_id = %(point_id)s and ts between %(from_ts)s and %(until_ts)s and value is not null and quality = 192)
union all
(select ts, value from telemetry where point_id = %(point_id)s and ts > %(until_ts)s and value is not null and quality = 192 order by ts limit 1)
order by 1, 2

-- name: series_raw
select point_id, ts, value as mean, value as low, value as high, value as last, (quality = 192 and value is not null)::int::bigint as count
from telemetry_visible
where point_id = any(%(point_ids)s) and ts >= %(from_ts)s and ts < %(until_ts)s
order by point_id, ts
limit %(limit)s

-- name: series_1m
select point_id, bucket as ts, sum / nullif(count, 0) as mean, min as low, max as high, last, count
from telemetry_1m_visible
where point_id = any(%(point_ids)s) and bucket >= date_bin('1 minute', %(from_ts)s, timestamptz '2000-01-01 00:00Z') and bucket < %(until_ts)s
order by point_id, bucket
limit %(limit)s

-- name: series_1h
select point_id, bucket as ts, sum / nullif(count, 0) as mean, min as low, max as high, last, count
from telemetry_1h_visible
where point_id = any(%(point_ids)s) and bucket >= date_bin('1 hour', %(from_ts)s, timestamptz '2000-01-01 00:00Z') and bucket < %(until_ts)s
order by point_id, bucket
limit %(limit)s
