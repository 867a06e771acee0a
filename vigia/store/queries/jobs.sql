-- name: asset_of_finding
select asset_id from finding where finding_id = %(id)s

-- name: asset_of_prediction
select asset_id from prediction where prediction_id = %(id)s

-- name: asset_of_failure_case
select asset_id from failure_case where failure_case_id = %(id)s

-- name: jobs_waiting
select count(*) from jobs.procrastinate_jobs where status in ('todo', 'doing')

-- name: jobs_failed
select count(*) from jobs.procrastinate_jobs where status = 'failed'
