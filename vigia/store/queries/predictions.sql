-- name: prediction_insert
-- One prediction an asset, failure mode and moment: the unique key absorbs the second, which returns no row.
insert into prediction (customer_id, role_id, asset_id, failure_mode, at, horizon, probability, probabilities, life_p10, life_p50, life_p90,
                        health, contributions, similar_cases, model_version_id)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(failure_mode)s, %(at)s, %(horizon)s, %(probability)s, %(probabilities)s, %(life_p10)s,
        %(life_p50)s, %(life_p90)s, %(health)s, %(contributions)s, %(similar_cases)s, %(model_version_id)s)
on conflict (asset_id, failure_mode, at) do nothing
returning prediction_id

-- name: prediction_latest
-- The newest prediction of each asset and failure mode.
select distinct on (asset_id, failure_mode) * from prediction
where %(asset_ids)s::int[] is null or asset_id = any(%(asset_ids)s)
order by asset_id, failure_mode, at desc

-- name: prediction_history
-- Oldest first; with a limit, the newest ones.
select * from (
    select * from prediction
    where asset_id = %(asset_id)s and failure_mode = %(failure_mode)s
      and (%(since)s::timestamptz is null or at >= %(since)s)
    order by at desc limit %(at_most)s
) as newest
order by at

-- name: prediction_followed
-- Every installation whose machine of that model may have readings to be predicted: those that stand, and those removed lately.
-- `newest_at`: the newest reading of any point of the asset. `predicted_at` and what follows: of the last predictions since the installation.
with lately as (select coalesce(max(last_reading_at) - %(grace)s::interval, '-infinity') as since from edge_node)
select i.installation_id, i.customer_id, i.role_id, i.asset_id, m.life_unit, i.installed_at, i.removed_at, newest.at as newest_at,
       last.predicted_at, last.lowest_health, last.life_p50, last.probabilities
from installation i
join asset a using (asset_id)
join asset_model m using (asset_model_id)
join lateral (select max(l.ts) as at from point p join point_latest l using (point_id) where p.asset_id = i.asset_id) as newest
  on newest.at > i.installed_at
left join lateral (
    select max(at) as predicted_at, min(health) as lowest_health, (array_agg(life_p50 order by at desc))[1] as life_p50,
           array_agg(probability order by at) as probabilities
    from (
        select at, health, life_p50, probability from prediction n
        where n.asset_id = i.asset_id and n.failure_mode = %(failure_mode)s and n.at > i.installed_at
          and (i.removed_at is null or n.at <= i.removed_at)
        order by at desc limit %(recent)s
    ) as recent
) as last on true
where a.asset_model_id = %(asset_model_id)s and (i.removed_at is null or i.removed_at > (select since from lately))
order by i.installation_id

-- name: prediction_followed_in_shadow
-- As prediction_followed, by what a model said in the shadow.
with lately as (select coalesce(max(last_reading_at) - %(grace)s::interval, '-infinity') as since from edge_node)
select i.installation_id, i.customer_id, i.role_id, i.asset_id, m.life_unit, i.installed_at, i.removed_at, newest.at as newest_at,
       last.predicted_at, null::float8 as lowest_health, null::float8 as life_p50, null::float8[] as probabilities
from installation i
join asset a using (asset_id)
join asset_model m using (asset_model_id)
join lateral (select max(l.ts) as at from point p join point_latest l using (point_id) where p.asset_id = i.asset_id) as newest
  on newest.at > i.installed_at
cross join lateral (
    select max(at) as predicted_at from shadow_prediction n
    where n.asset_id = i.asset_id and n.model_version_id = %(model_version_id)s and n.at > i.installed_at
      and (i.removed_at is null or n.at <= i.removed_at)
) as last
where a.asset_model_id = %(asset_model_id)s and (i.removed_at is null or i.removed_at > (select since from lately))
order by i.installation_id

-- name: prediction_points
select point_id, asset_id, name, kind, unit from point where asset_id = any(%(asset_ids)s) order by point_id

-- name: prediction_readings
-- The readings of each asset after `since` and up to `until` (arrays in the order of `asset_ids`), one row an asset and moment, in
-- the order of time. Only a reading of good quality has a value. Machines without any reading in that time have no row.
select w.asset_id, t.ts as at, array_agg(t.point_id) as point_ids, array_agg(case when t.quality = 192 then t.value end) as values
from unnest(%(asset_ids)s::int[], %(since)s::timestamptz[], %(until)s::timestamptz[]) as w (asset_id, since, until)
join point p on p.asset_id = w.asset_id
cross join lateral (
    select point_id, ts, value, quality from telemetry
    where telemetry.point_id = p.point_id and telemetry.ts > w.since and telemetry.ts <= w.until
) as t
group by w.asset_id, t.ts
order by t.ts, w.asset_id
