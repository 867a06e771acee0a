-- name: model_training_last
select * from model_training where asset_model_id = %(asset_model_id)s and failure_mode = %(failure_mode)s
order by model_training_id desc limit 1

-- name: model_training_predicting_since
select min(at) from prediction where model_version_id = %(model_version_id)s

-- name: model_training_begin
-- One at a time: model_training_open_key absorbs the second.
insert into model_training (asset_model_id, failure_mode, began_at, reason, orders)
values (%(asset_model_id)s, %(failure_mode)s, %(at)s, %(reason)s, %(orders)s)
on conflict (asset_model_id, failure_mode) where ended_at is null do nothing
returning model_training_id

-- name: model_training_give_up
-- One whose process died leaves its row open; no training takes an hour.
update model_training set ended_at = now(), said = 'given up: its process ended'
where asset_model_id = %(asset_model_id)s and failure_mode = %(failure_mode)s and ended_at is null and claimed_at < now() - interval '1 hour'

-- name: model_training_end
update model_training set ended_at = now(), model_version_id = %(model_version_id)s, said = %(said)s
where model_training_id = %(model_training_id)s and ended_at is null

-- name: model_training_made
select exists (select from model_training where model_version_id = %(model_version_id)s)
