-- name: cause_prediction
select p.prediction_id, p.customer_id, p.role_id, p.asset_id, p.failure_mode, p.at, p.horizon, p.probability, p.probabilities,
       p.life_p10, p.life_p50, p.life_p90, p.health, p.contributions, p.similar_cases, v.version as model_version, v.metrics as model_metrics, m.life_unit
from prediction p
join model_version v using (model_version_id)
join asset a using (asset_id)
join asset_model m on m.asset_model_id = a.asset_model_id
where p.prediction_id = %(prediction_id)s

-- name: cause_probabilities
-- Newest first.
select probability from prediction
where asset_id = %(asset_id)s and failure_mode = %(failure_mode)s and at <= %(until)s
order by at desc limit %(count)s

-- name: cause_finding
select f.finding_id, f.customer_id, f.asset_id, f.detector, f.at, f.score, f.why, p.name as point, p.unit
from finding f join point p using (point_id)
where f.finding_id = %(finding_id)s
