-- Readings, their rollups and the latest of each point.

-- name: ensure_telemetry_room
select ensure_telemetry_room(%(from_ts)s, %(to_ts)s)

-- name: copy_telemetry
copy telemetry (point_id, ts, value, quality) from stdin (format binary)

-- name: merge_open_minutes
-- A partial a point, into the point's open minute, and its latest reading. Rows whose open minute is another stay as they are, locked and not
-- counted: merge_closed_minutes follows when there is one. In the order of points, so that writers wait for each other and never in a circle.
insert into point_latest as l (point_id, minute, count, sum, min, max, ts, value, good_mask, quality)
select *
from unnest(%(point_id)s, %(bucket)s, %(counted)s, %(total)s, %(minimum)s, %(maximum)s, %(last_ts)s, %(last)s, %(good_mask)s, %(quality)s)
    as p (point_id, minute, count, sum, min, max, ts, value, good_mask, quality)
order by p.point_id
on conflict (point_id) do update set
    count = l.count + excluded.count,
    sum = l.sum + excluded.sum,
    min = least(l.min, excluded.min),
    max = greatest(l.max, excluded.max),
    good_mask = l.good_mask | excluded.good_mask,
    ts = greatest(l.ts, excluded.ts),
    value = case when excluded.ts > l.ts or (excluded.ts = l.ts and (l.value is null or excluded.value > l.value)) then excluded.value else l.value end,
    quality = case when excluded.ts > l.ts or (excluded.ts = l.ts and (l.value is null or excluded.value > l.value)) then excluded.quality else l.quality end
where l.minute = excluded.minute

-- name: merge_closed_minutes
-- After merge_open_minutes with the same arrays, whose locks it needs: opens the minutes that are newer than the open one, and adds to both
-- rollups what is closed by that, what is late, and the `earlier` partials of the same points.
-- Adding is exact whatever the order of batches: what a minute gains in good seconds is the difference between its mask before and after.
with rest as materialized (
    select p.*, p.minute > coalesce(l.minute, date_bin('1 minute', l.ts, timestamptz '2000-01-01 00:00Z')) as opens,
           l.minute as old_minute, l.count as old_count, l.sum as old_sum, l.min as old_min, l.max as old_max, l.ts as old_ts, l.value as old_value,
           l.good_mask as old_mask
    from unnest(%(point_id)s, %(bucket)s, %(counted)s, %(total)s, %(minimum)s, %(maximum)s, %(last_ts)s, %(last)s, %(good_mask)s, %(quality)s)
        as p (point_id, minute, count, sum, min, max, ts, value, good_mask, quality)
    join point_latest l using (point_id)
    where l.minute is distinct from p.minute
), opened as (
    update point_latest l
    set minute = r.minute, count = r.count, sum = r.sum, min = r.min, max = r.max, ts = r.ts, value = r.value, good_mask = r.good_mask, quality = r.quality
    from rest r
    where l.point_id = r.point_id and r.opens
), newer as (
    -- The minute of the latest reading is closed, and this is a later reading of the same minute.
    update point_latest l
    set ts = r.ts, value = r.value, quality = r.quality
    from rest r
    where l.point_id = r.point_id and not r.opens and (r.ts > l.ts or (r.ts = l.ts and (l.value is null or r.value > l.value)))
), closed as materialized (
    select point_id, bucket, sum(count)::bigint as count, sum(sum) as sum, min(min) as min, max(max) as max, max(last_ts) as last_ts,
           (array_agg(last order by last_ts desc, last desc nulls last))[1] as last, bit_or(good_mask) as good_mask
    from (
        select point_id, old_minute as bucket, old_count as count, old_sum as sum, old_min as min, old_max as max, old_ts as last_ts, old_value as last,
               old_mask as good_mask
        from rest where opens and old_minute is not null
        union all
        select point_id, minute, count, sum, min, max, ts, value, good_mask from rest where not opens
        union all
        select *
        from unnest(%(earlier_point_id)s, %(earlier_bucket)s, %(earlier_counted)s, %(earlier_total)s, %(earlier_minimum)s, %(earlier_maximum)s,
                    %(earlier_last_ts)s, %(earlier_last)s, %(earlier_good_mask)s)
    ) as p (point_id, bucket, count, sum, min, max, last_ts, last, good_mask)
    group by point_id, bucket
), minute as (
    insert into telemetry_1m as m (point_id, bucket, count, sum, min, max, last_ts, last, good_mask)
    select * from closed order by point_id, bucket
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
select c.point_id, date_bin('1 hour', c.bucket, timestamptz '2000-01-01 00:00Z') as hour,
       sum(c.count), sum(c.sum), min(c.min), max(c.max), max(c.last_ts), (array_agg(c.last order by c.last_ts desc))[1], sum(m.gained)
from closed c join minute m using (point_id, bucket)
group by c.point_id, hour
order by c.point_id, hour
on conflict (point_id, bucket) do update set
    count = h.count + excluded.count,
    sum = h.sum + excluded.sum,
    min = least(h.min, excluded.min),
    max = greatest(h.max, excluded.max),
    last_ts = greatest(h.last_ts, excluded.last_ts),
    last = case when excluded.last_ts > h.last_ts
                  or (excluded.last_ts = h.last_ts and (h.last is null or excluded.last > h.last)) then excluded.last else h.last end,
    good_seconds = h.good_seconds + excluded.good_seconds

-- name: latest_of
select point_id, ts, value, quality from point_latest where point_id = any(%(point_ids)s)

-- name: mark_latest
-- What a death or a birth says of the latest readings of points.
update point_latest set quality = %(quality)s where point_id = any(%(point_ids)s) and quality <> %(quality)s

-- name: latest_stands
-- A birth repeats readings that are stored. One that is not the latest, or not stored yet, changes nothing: its batch does.
update point_latest l set quality = said.quality
from unnest(%(point_ids)s::int[], %(at)s::timestamptz[], %(values)s::float8[], %(qualities)s::smallint[]) as said (point_id, ts, value, quality)
where l.point_id = said.point_id and l.ts = said.ts and l.value = said.value and l.quality = %(stale)s

-- name: readings_around
-- Good readings of a point from `from_ts` to `until_ts`, with the neighbour on either side.
(select ts, value from telemetry where point_id = %(point_id)s and ts < %(from_ts)s and value is not null and quality = 192 order by ts desc limit 1)
union all
(select ts, value from telemetry where point_id = %(point_id)s and ts between %(from_ts)s and %(until_ts)s and value is not null and quality = 192)
union all
(select ts, value from telemetry where point_id = %(point_id)s and ts > %(until_ts)s and value is not null and quality = 192 order by ts limit 1)
order by 1, 2

-- name: readings_newest
-- The newest good readings of a point from `from_ts` to `until_ts`, newest first.
select ts, value from telemetry
where point_id = %(point_id)s and ts between %(from_ts)s and %(until_ts)s and value is not null and quality = 192
order by ts desc
limit %(count)s

-- name: readings_oldest
-- The oldest good readings of a point from `from_ts` to `until_ts`, by time.
select ts, value from telemetry
where point_id = %(point_id)s and ts between %(from_ts)s and %(until_ts)s and value is not null and quality = 192
order by ts
limit %(count)s

-- name: readings_at_moments
-- A row a moment, in their order: what each of the points said last, null when nothing yet.
select array(
    select (select value from telemetry
            where point_id = asked.point_id and ts <= moment.ts and value is not null and quality = 192 order by ts desc limit 1)
    from unnest(%(point_ids)s::int[]) with ordinality as asked (point_id, number)
    order by asked.number) as values
from unnest(%(moments)s::timestamptz[]) with ordinality as moment (ts, number)
order by moment.number

-- name: series_raw
-- A row a point, its readings as arrays, by time: so they travel and are read much faster. Each point is a query of its own (offset 0 keeps
-- it one): then whose its readings are is looked up once, not once a reading.
select point_id, array_agg(ts), array_agg(mean), array_agg(low), array_agg(high), array_agg(last), array_agg(count)
from (
    select asked.point_id, s.*
    from (select distinct unnest(%(point_ids)s) as point_id order by 1) as asked
    cross join lateral (
        select ts, value as mean, value as low, value as high, value as last, (quality = 192 and value is not null)::int::bigint as count
        from telemetry_visible
        where point_id = asked.point_id and ts >= %(from_ts)s and ts < %(until_ts)s
        offset 0) as s
    order by asked.point_id, s.ts
    limit %(limit)s) as found
group by point_id
order by point_id

-- name: series_1m
-- As series_raw.
select point_id, array_agg(ts), array_agg(mean), array_agg(low), array_agg(high), array_agg(last), array_agg(count)
from (
    select asked.point_id, s.*
    from (select distinct unnest(%(point_ids)s) as point_id order by 1) as asked
    cross join lateral (
        select bucket as ts, sum / nullif(count, 0) as mean, min as low, max as high, last, count
        from telemetry_1m_visible
        where point_id = asked.point_id and bucket >= date_bin('1 minute', %(from_ts)s, timestamptz '2000-01-01 00:00Z') and bucket < %(until_ts)s
        offset 0) as s
    order by asked.point_id, s.ts
    limit %(limit)s) as found
group by point_id
order by point_id

-- name: series_1h
-- As series_raw.
select point_id, array_agg(ts), array_agg(mean), array_agg(low), array_agg(high), array_agg(last), array_agg(count)
from (
    select asked.point_id, s.*
    from (select distinct unnest(%(point_ids)s) as point_id order by 1) as asked
    cross join lateral (
        select bucket as ts, sum / nullif(count, 0) as mean, min as low, max as high, last, count
        from telemetry_1h_visible
        where point_id = asked.point_id and bucket >= date_bin('1 hour', %(from_ts)s, timestamptz '2000-01-01 00:00Z') and bucket < %(until_ts)s
        offset 0) as s
    order by asked.point_id, s.ts
    limit %(limit)s) as found
group by point_id
order by point_id
