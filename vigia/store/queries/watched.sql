-- What the watch over ingest asks, again and again.

-- name: watched_holes
-- Runs of numbers that nothing explains, and how many numbers they are.
select count(*) as holes, coalesce(sum(upper(hole) - lower(hole)), 0)::bigint as batches from ledger_hole

-- name: watched_certificates
-- Of the gateways that may come in, how many have a newest certificate that ends within each of so many days; ended ones too, for a month.
select d.days, count(newest.valid_until)::int as ending
from unnest(%(days)s::int[]) as d (days)
left join (select max(valid_until) as valid_until from edge_certificate where revoked_at is null group by edge_node_id) as newest
    on newest.valid_until between now() - interval '30 days' and now() + d.days * interval '1 day'
group by d.days

-- name: watched_models
-- What was found last of each model in charge.
select m.code as asset_model, v.failure_mode, v.version, v.metrics, d.inputs, d.resolved, d.warnings
from model_version v join asset_model m using (asset_model_id)
cross join lateral (select * from model_drift where model_version_id = v.model_version_id order by day desc limit 1) d
where v.champion
