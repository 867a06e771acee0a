-- name: pilot_lag
-- What the pipeline has not yet done for the engines in `serials`, whose newest reading is due at `readings` and newest
-- prediction at `predictions` (same order). Jobs planned for later do not count.
with due as (
    select * from unnest(%(serials)s::text[], %(readings)s::timestamptz[], %(predictions)s::timestamptz[])
        as due (serial_number, reading_at, prediction_at)
)
select
    (select count(*) from due
     where not exists (
        select from asset a join point p using (asset_id) join point_latest l using (point_id)
        where a.serial_number = due.serial_number and p.kind = 'state' and l.ts >= due.reading_at)) as readings,
    (select count(*) from due
     where not exists (
        select from asset a join prediction n using (asset_id)
        where a.serial_number = due.serial_number and n.at >= due.prediction_at)) as predictions,
    (select count(*) from jobs.procrastinate_jobs
     where status in ('todo', 'doing') and (scheduled_at is null or scheduled_at <= now())) as jobs;

-- name: pilot_installed
-- Which engine stands in which role now, and whether someone is at work on it.
select r.device_id, a.serial_number, i.installed_at,
       exists (select from visit v join work_order w using (work_order_id)
               where w.asset_id = a.asset_id and v.started_at is not null and v.finished_at is null) as in_work
from installation i join role r using (role_id) join asset a using (asset_id)
where i.removed_at is null and r.device_id is not null;

-- name: pilot_engines
-- Each engine that has stood in a role: its first order and its failure, if any.
select r.device_id, a.serial_number, i.installed_at, i.removed_at,
       (select min(w.created_at) from work_order w where w.asset_id = a.asset_id) as ordered_at,
       (select min(c.failed_at) from failure_case c where c.asset_id = a.asset_id) as failed_at
from installation i join role r using (role_id) join asset a using (asset_id)
order by i.installed_at, r.device_id;

-- name: pilot_counts
select (select count(*) from telemetry) as rows_stored,
       (select count(*) - count(distinct (point_id, ts)) from telemetry) as rows_duplicated,
       (select count(*) from ledger_hole) as holes,
       (select count(*) from dead_letter) as dead_letters,
       (select count(*) from work_order) as work_orders,
       (select count(*) from work_order where finished_at is null) as open_orders,
       (select count(*) from work_order where verdict in ('early', 'wrong')) as false_orders,
       (select max(last_reading_at) from edge_node) as last_reading_at;
