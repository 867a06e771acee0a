-- name: model_champion
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s and v.champion

-- name: model_shadow
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s and v.shadow

-- name: model_by_version
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s and v.version = %(version)s

-- name: model_versions
-- Newest first; of one asset model and failure mode, or of all.
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id)
where (%(asset_model)s::text is null or m.code = %(asset_model)s) and (%(failure_mode)s::text is null or v.failure_mode = %(failure_mode)s)
order by v.created_at desc, v.model_version_id desc

-- name: model_lock
-- All versions of the asset model and failure mode of this one, so that two decisions come one after the other.
select v.*, m.code as asset_model from model_version v join asset_model m using (asset_model_id)
where (v.asset_model_id, v.failure_mode) = (select asset_model_id, failure_mode from model_version where model_version_id = %(model_version_id)s)
order by v.model_version_id
for update of v

-- name: model_asset_model_id
select asset_model_id from asset_model where code = %(asset_model)s

-- name: model_register
insert into model_version (asset_model_id, failure_mode, version, sha256, metrics, inputs, data_sha256, code_version)
values (%(asset_model_id)s, %(failure_mode)s, %(version)s, %(sha256)s, %(metrics)s, %(inputs)s, %(data_sha256)s, %(code_version)s)
returning *, %(asset_model)s::text as asset_model

-- name: model_step_down
update model_version set champion = false where champion and model_version_id = %(model_version_id)s

-- name: model_promote
update model_version set champion = true, shadow = false, withdrawn_at = null, approved_by = %(account_id)s, approved_at = %(at)s,
    replaced_id = coalesce(%(replaced_id)s, replaced_id)
where model_version_id = %(model_version_id)s

-- name: model_withdraw
update model_version set champion = false, shadow = false, withdrawn_at = %(at)s where model_version_id = %(model_version_id)s

-- name: model_compared
-- What the model said in the shadow beside what was said in charge, of the same machines at the same moments.
select count(*)::int as predictions, count(distinct s.asset_id)::int as machines,
       coalesce(avg(abs(s.probability - p.probability)), 0)::float8 as probability_apart,
       coalesce(avg(s.life_p50 - p.life_p50), 0)::float8 as life_longer, coalesce(avg(abs(s.life_p50 - p.life_p50)), 0)::float8 as life_apart,
       (select m.life_unit from model_version v join asset_model m using (asset_model_id) where v.model_version_id = %(model_version_id)s) as life_unit
from shadow_prediction s
join model_version v using (model_version_id)
join prediction p on p.asset_id = s.asset_id and p.failure_mode = v.failure_mode and p.at = s.at
where s.model_version_id = %(model_version_id)s

-- name: model_begin_shadow
update model_version set shadow = model_version_id = %(model_version_id)s
where (asset_model_id, failure_mode) = (select asset_model_id, failure_mode from model_version where model_version_id = %(model_version_id)s)
  and shadow <> (model_version_id = %(model_version_id)s)

-- name: model_end_shadow
update model_version set shadow = false where model_version_id = %(model_version_id)s

-- name: model_life_units
select code, life_unit from asset_model

-- name: model_approvers
select account_id, name from person where account_id in (select approved_by from model_version)

-- name: model_shadow_insert
insert into shadow_prediction (customer_id, asset_id, model_version_id, at, probability, life_p10, life_p50, life_p90)
select * from unnest(%(customer_ids)s::int[], %(asset_ids)s::int[], %(versions)s::int[], %(at)s::timestamptz[], %(probabilities)s::float8[],
                     %(p10)s::float8[], %(p50)s::float8[], %(p90)s::float8[])
on conflict do nothing

-- name: model_closed_orders
select distinct on (i.installation_id) w.work_order_id, w.customer_id, w.asset_id, i.installed_at, w.finished_at, c.failed_at, w.verdict
from work_order w
join failure_case c using (failure_case_id)
join asset a on a.asset_id = w.asset_id
join installation i on i.asset_id = w.asset_id and i.role_id = w.role_id and i.installed_at < w.created_at
  and w.created_at <= coalesce(i.removed_at, 'infinity')
where a.asset_model_id = %(asset_model_id)s and w.failure_mode = %(failure_mode)s and w.verdict is not null
order by i.installation_id, w.finished_at desc
