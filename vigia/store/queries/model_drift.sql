-- name: model_drift_spread
-- How often each input lay in each of its bins, by band of predicted life: good readings that came with one of the newest predictions.
-- `edges` and `life_edges` as arrays in the order of `names`; bands and bins count from 0.
with sampled as materialized (
    select asset_id, at, life_p50 from prediction
    where model_version_id = %(model_version_id)s and at > %(since)s and at <= %(until)s
    order by at desc limit %(at_most)s
)
select p.name, width_bucket(s.life_p50, %(life_edges)s::float8[]) as band,
       width_bucket(t.value, (select array_agg(e::float8) from jsonb_array_elements_text(%(edges)s::jsonb -> p.name) e)) as bin,
       count(*)::int as readings
from sampled s
join point p on p.asset_id = s.asset_id and p.name = any(%(names)s::text[])
cross join lateral (select value from telemetry where point_id = p.point_id and ts = s.at and quality = 192 and value is not null limit 1) as t
group by 1, 2, 3

-- name: model_drift_machines
select count(distinct asset_id)::int from prediction
where model_version_id = %(model_version_id)s and at > %(since)s and at <= %(until)s

-- name: model_drift_resolved
-- What became of the model's predictions; with a shadow, of those which that model made too. A machine's life is counted as the model counts it: in cycles, one prediction each, or in hours.
-- Known as in training: a machine that failed is a whole life; one confirmed was failing soon in its last 5; nothing found: none failed.
with ended as (
    select distinct on (i.installation_id) i.installation_id, w.asset_id, i.installed_at, coalesce(c.failed_at, w.finished_at) as until,
           case when c.failed_at is not null and w.verdict <> 'wrong' then 'failed' else w.verdict end as ended
    from work_order w
    join failure_case c using (failure_case_id)
    join model_version v on v.model_version_id = %(model_version_id)s and v.failure_mode = w.failure_mode
    join installation i on i.asset_id = w.asset_id and i.role_id = w.role_id and i.installed_at < w.created_at
      and w.created_at <= coalesce(i.removed_at, 'infinity')
    where w.verdict is not null
    order by i.installation_id, w.finished_at desc
), lived as (
    select p.asset_id, p.probability, p.life_p10, p.life_p90, p.horizon, e.ended, p.model_version_id, s.probability as in_shadow,
           case m.life_unit when '{cycle}' then row_number() over (partition by e.installation_id order by p.at desc) - 1
                            else extract(epoch from e.until - p.at) / 3600 end::float8 as remaining
    from ended e
    join asset a using (asset_id) join asset_model m using (asset_model_id)
    join model_version v on v.model_version_id = %(model_version_id)s
    join prediction p on p.asset_id = e.asset_id and p.failure_mode = v.failure_mode and p.at > e.installed_at and p.at <= e.until
    left join shadow_prediction s on s.model_version_id = %(shadow_id)s and s.asset_id = p.asset_id and s.at = p.at
), known as (
    select *, case when ended = 'failed' then remaining <= horizon
                   when ended = 'wrong' then false
                   when ended = 'confirmed' and remaining < %(confirmed)s then true
                   when remaining > horizon then false end as fails,
           ended = 'failed' as whole, least(remaining, %(life_cap)s::float8) as life
    from lived where model_version_id = %(model_version_id)s and (%(shadow_id)s::int is null or in_shadow is not null)
)
select count(distinct asset_id)::int as machines, count(fails)::int as told, avg((probability - fails::int) ^ 2)::float8 as brier,
       (count(*) filter (where whole))::int as lives,
       (avg((life between life_p10 and life_p90)::int) filter (where whole))::float8 as held,
       avg((in_shadow - fails::int) ^ 2)::float8 as brier_in_shadow
from known

-- name: model_drift_keep
insert into model_drift (model_version_id, day, machines, inputs, resolved, warnings)
values (%(model_version_id)s, %(day)s, %(machines)s, %(inputs)s, %(resolved)s, %(warnings)s)
on conflict (model_version_id, day) do nothing

-- name: model_drift_newest
select distinct on (model_version_id) * from model_drift
where %(model_version_id)s::int is null or model_version_id = %(model_version_id)s
order by model_version_id, day desc

-- name: model_drift_warned
select count(*)::int from model_version v
where champion and (select warnings <> '{}' from model_drift d where d.model_version_id = v.model_version_id order by day desc limit 1)

-- name: model_champions
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id) where v.champion order by v.model_version_id
