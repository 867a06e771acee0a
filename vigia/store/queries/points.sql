-- name: points_of
select point_id, asset_id, name, kind, unit, description, low, high
from point
where asset_id = any(%(asset_ids)s)
order by asset_id, point_id

-- name: point_by_name
select point_id, asset_id, name, kind, unit, description, low, high
from point
where asset_id = %(asset_id)s and name = %(name)s

-- name: ensure_points
-- Only what differs is written: a gateway that is born again and again leaves no dead rows.
with told as (
    select * from unnest(%(names)s::text[], %(kinds)s::text[], %(units)s::text[], %(descriptions)s::text[], %(lows)s::float8[], %(highs)s::float8[])
        with ordinality as told (name, kind, unit, description, low, high, position)
), written as (
    insert into point as known (asset_id, name, kind, unit, description, low, high)
    select %(asset_id)s, name, kind, unit, description, low, high from told order by position
    on conflict (asset_id, name) do update
        set kind = excluded.kind, unit = excluded.unit, description = excluded.description, low = excluded.low, high = excluded.high
        where (known.kind, known.unit, known.description, known.low, known.high)
              is distinct from (excluded.kind, excluded.unit, excluded.description, excluded.low, excluded.high)
    returning known.name, known.point_id
)
select name, point_id from written
union all
select p.name, p.point_id from point p join told using (name)
where p.asset_id = %(asset_id)s and p.name not in (select name from written)
