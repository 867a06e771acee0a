-- name: model_champion
select v.* from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s and v.champion

-- name: model_by_version
select v.* from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s and v.version = %(version)s

-- name: model_versions
-- Newest first.
select v.* from model_version v join asset_model m using (asset_model_id)
where m.code = %(asset_model)s and v.failure_mode = %(failure_mode)s
order by v.created_at desc, v.model_version_id desc

-- name: model_asset_model_id
select asset_model_id from asset_model where code = %(asset_model)s

-- name: model_register
insert into model_version (asset_model_id, failure_mode, version, sha256, metrics)
values (%(asset_model_id)s, %(failure_mode)s, %(version)s, %(sha256)s, %(metrics)s)
returning *

-- name: model_step_down
update model_version set champion = false
where champion and failure_mode = %(failure_mode)s
  and asset_model_id = (select asset_model_id from asset_model where code = %(asset_model)s)

-- name: model_promote
update model_version set champion = true
where version = %(version)s and failure_mode = %(failure_mode)s
  and asset_model_id = (select asset_model_id from asset_model where code = %(asset_model)s)
