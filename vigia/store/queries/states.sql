-- name: state_current
select * from state_interval where role_id = %(role_id)s and ended_at is null

-- name: state_newest
select * from state_interval where role_id = %(role_id)s order by started_at desc, state_interval_id desc limit 1

-- name: states_from
-- The role's stretches that touch the time from `since` on, and the one before them.
select * from state_interval
where role_id = %(role_id)s
  and started_at >= coalesce((select max(started_at) from state_interval where role_id = %(role_id)s and ended_at < %(since)s), '-infinity')
order by started_at, state_interval_id

-- name: state_changes
-- The first reading after a moment of the asset's state point, and each that differs from the one before.
select ts as at, value::int as state
from (select ts, value, lag(value) over (order by ts, value) as before
      from telemetry
      where point_id = (select min(point_id) from point where asset_id = %(asset_id)s and kind = 'state')
        and ts > %(after)s and value is not null and quality = 192) as reading
where before is distinct from value
order by ts

-- name: states_remove
delete from state_interval where state_interval_id = any(%(state_interval_ids)s)

-- name: state_begin
insert into state_interval (customer_id, role_id, asset_id, category, started_at, ended_at, work_order_id)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(category)s, %(started_at)s, %(ended_at)s, %(work_order_id)s)

-- name: state_end
update state_interval set ended_at = %(at)s where state_interval_id = %(state_interval_id)s and ended_at is null

-- name: state_evidence
update state_interval set work_order_id = %(work_order_id)s where state_interval_id = %(state_interval_id)s and work_order_id is null

-- name: states_within
select role_id, category, started_at, ended_at
from state_interval
where started_at < %(end)s and (ended_at is null or ended_at > %(start)s) and (%(customer_id)s::int is null or customer_id = %(customer_id)s)

-- name: states_see_all
-- The service sees every customer's rows; the views of telemetry ask for it in the words of a caller.
select set_config('vigia.staff', 'on', true) where current_user = 'vigia_service'

-- name: states_evidence
-- The time for which readings of the role's state point speak, joined up: each the hour that ends with it. An hour in which the machine
-- was installed is left out: staff and customer must count the same. The points go in as an array: only so does the view use its index.
with reading as (
    select i.role_id, h.last_ts
    from installation i
    join point p on p.asset_id = i.asset_id and p.kind = 'state'
    join telemetry_1h_visible h
      on h.point_id = p.point_id and h.bucket >= i.installed_at and h.last_ts > i.installed_at and (i.removed_at is null or h.last_ts <= i.removed_at)
    where h.bucket >= %(start)s - interval '1 hour' and h.bucket < %(end)s + interval '1 hour'
      and h.point_id = any (array(
        select point_id from installation join point using (asset_id)
        where kind = 'state' and (%(customer_id)s::int is null or customer_id = %(customer_id)s)))
      and (%(customer_id)s::int is null or i.customer_id = %(customer_id)s)
)
select role_id, lower(proof) as start, upper(proof) as "end"
from (select role_id, unnest(range_agg(tstzrange(last_ts - interval '1 hour', last_ts))) as proof from reading group by role_id) as proven

-- name: states_operating_hours
-- Hours in which a role's state point said operating (1), of those that end after `start` and not after `end`.
select i.role_id, count(*)::int as hours
from installation i
join point p on p.asset_id = i.asset_id and p.kind = 'state'
join telemetry_1h_visible h
  on h.point_id = p.point_id and h.bucket >= i.installed_at and h.last_ts > i.installed_at and (i.removed_at is null or h.last_ts <= i.removed_at)
where h.last_ts > %(start)s and h.last_ts <= %(end)s and h.min <= 1 and h.max >= 1
  and h.bucket >= %(start)s - interval '1 hour' and h.bucket <= %(end)s
  and h.point_id = any (array(
    select point_id from installation join point using (asset_id)
    where kind = 'state' and (%(customer_id)s::int is null or customer_id = %(customer_id)s)))
  and (%(customer_id)s::int is null or i.customer_id = %(customer_id)s)
group by i.role_id
