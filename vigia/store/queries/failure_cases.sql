-- name: failure_case
select * from failure_case where failure_case_id = %(failure_case_id)s

-- name: failure_cases_open_of_asset
-- Those with an open order first.
select c.* from failure_case c
where c.asset_id = %(asset_id)s and c.closed_at is null
order by exists (select from work_order w where w.failure_case_id = c.failure_case_id and w.finished_at is null) desc, c.failure_case_id

-- name: failure_case_open
-- One open case per asset and failure mode: failure_case_open_key absorbs the second.
insert into failure_case (customer_id, role_id, asset_id, failure_mode, opened_at, failed_at, prediction_id, model_rule_id)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(failure_mode)s, %(opened_at)s, %(failed_at)s, %(prediction_id)s,
        %(model_rule_id)s)
on conflict (asset_id, failure_mode) where closed_at is null do nothing
returning *

-- name: failure_case_open_of_mode
select * from failure_case where asset_id = %(asset_id)s and failure_mode = %(failure_mode)s and closed_at is null

-- name: failure_case_failed
update failure_case set failed_at = %(at)s where failure_case_id = %(failure_case_id)s and failed_at is null

-- name: failure_cases_close_of_asset
update failure_case set closed_at = %(at)s where asset_id = %(asset_id)s and closed_at is null

-- name: failure_case_close
update failure_case set closed_at = %(at)s where failure_case_id = %(failure_case_id)s and closed_at is null

-- name: failures_by_role
-- How many times a machine failed in each role within (start, end].
select role_id, count(*)::int as failures
from failure_case
where failed_at > %(start)s and failed_at <= %(end)s and (%(customer_id)s::int is null or customer_id = %(customer_id)s)
group by role_id

-- name: failure_cases_open_since
select asset_id, min(opened_at) as at from failure_case where closed_at is null group by asset_id

-- name: failure_cases_last_closed
select asset_id, max(closed_at) as at from failure_case where asset_id = any(%(asset_ids)s) and closed_at is not null group by asset_id
