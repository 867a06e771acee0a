-- What the portal's pages show. Each query answers one page's question in one go; who sees which row is decided by row-level security.

-- name: page_engines
-- Every role with the machine that stands in it, its newest prediction, its open alarms and the order and visit that are open.
-- Filters that are null do not filter.
select r.role_id, r.name as role, c.customer_id, c.name as customer, s.site_id, s.name as site, s.time_zone,
       m.name as model, m.life_unit, i.asset_id, a.serial_number, i.installed_at,
       p.at as predicted_at, p.failure_mode, p.horizon, p.probability, p.life_p10, p.life_p50, p.life_p90,
       l.reading_at, f.failed_at,
       coalesce(w.conditions, '{}') as conditions, coalesce(w.unseen, 0) as unseen_alarms,
       o.work_order_id, o.kind as order_kind, o.state as order_state, o.priority as order_priority,
       o.planned_from, o.planned_until, o.started_at
from role r
join line using (line_id) join area using (area_id) join site s using (site_id) join customer c on c.customer_id = r.customer_id
join asset_model m on m.asset_model_id = r.asset_model_id
left join installation i on i.role_id = r.role_id and i.removed_at is null
left join asset a on a.asset_id = i.asset_id
left join lateral (
    select * from prediction where asset_id = i.asset_id and role_id = r.role_id order by at desc limit 1
) p on true
left join lateral (
    select max(t.ts) as reading_at from point q join point_latest_visible t using (point_id) where q.asset_id = i.asset_id
) l on true
left join lateral (
    select max(failed_at) as failed_at from failure_case where asset_id = i.asset_id and role_id = r.role_id and closed_at is null
) f on true
left join lateral (
    select array_agg(condition order by raised_at) filter (where cleared_at is null) as conditions,
           count(*) filter (where state in ('unacknowledged', 'returned_unacknowledged'))::int as unseen
    from alarm where asset_id = i.asset_id and role_id = r.role_id and state <> 'normal'
) w on true
left join lateral (
    select x.work_order_id, x.kind, x.state, x.priority, v.planned_from, v.planned_until, v.started_at
    from work_order x left join visit v on v.work_order_id = x.work_order_id and v.finished_at is null
    where x.role_id = r.role_id and x.finished_at is null
    order by x.work_order_id limit 1
) o on true
where (%(role_id)s::int is null or r.role_id = %(role_id)s) and (%(customer_id)s::int is null or r.customer_id = %(customer_id)s)
order by c.name, s.name, r.name;

-- name: page_sites
-- Sites with the account of their gateway's numbered batches.
select s.site_id, s.name as site, s.customer_id, c.name as customer, s.time_zone,
       coalesce(bool_or(n.online), false) as online, max(n.last_reading_at) as reading_at,
       coalesce(sum(g.committed), 0)::bigint as committed, coalesce(sum(g.dropped), 0)::bigint as dropped, coalesce(sum(h.missing), 0)::bigint as missing
from site s join customer c using (customer_id)
left join edge_node n using (site_id)
left join lateral (select sum(committed) as committed, sum(buried) as dropped from ledger where edge_node_id = n.edge_node_id) g on true
left join lateral (select sum(upper(hole) - lower(hole)) as missing from ledger_hole where edge_node_id = n.edge_node_id) h on true
group by s.site_id, s.name, s.customer_id, c.name, s.time_zone
order by c.name, s.name;

-- name: page_life
-- The predictions of one machine in one role in time order: at most the newest `limit`.
select at, life_p10, life_p50, life_p90, probability, health
from (select * from prediction where asset_id = %(asset_id)s and role_id = %(role_id)s order by at desc limit %(limit)s) as newest
order by at;

-- name: page_reason
-- What the newest prediction of the machine rests on.
select p.at, p.failure_mode, p.horizon, p.probability, p.probabilities, p.life_p10, p.life_p50, p.life_p90, p.health, p.contributions,
       p.similar_cases, v.version as model_version, coalesce(v.metrics ->> 'method', 'trees') as method
from prediction p join model_version v using (model_version_id)
where p.asset_id = %(asset_id)s and p.role_id = %(role_id)s
order by p.at desc limit 1;

-- name: page_sensors
-- Hourly means of every measurement of the machine since `since`, the newest `hours` of them.
select q.point_id, q.name, q.unit, array_agg(h.bucket order by h.bucket) as at,
       array_agg(h.sum / nullif(h.count, 0) order by h.bucket) as mean
from point q
join telemetry_1h_visible h using (point_id)
where q.asset_id = %(asset_id)s and q.kind = 'measurement' and h.bucket >= %(since)s
group by q.point_id, q.name, q.unit
order by q.point_id;

-- name: page_installations
-- What has stood in the role, newest first.
select a.serial_number, i.asset_id, i.installed_at, i.removed_at
from installation i join asset a using (asset_id)
where i.role_id = %(role_id)s
order by i.installed_at desc;

-- name: page_timeline
-- What happened in the role, newest first.
select * from (
    select i.installed_at as at, 'installed' as kind, a.serial_number as subject, null::int as work_order_id, null::text as priority,
           null::jsonb as second_opinion
    from installation i join asset a using (asset_id) where i.role_id = %(role_id)s
    union all
    select i.removed_at, 'removed', a.serial_number, null, null, null
    from installation i join asset a using (asset_id) where i.role_id = %(role_id)s and i.removed_at is not null
    union all
    select w.raised_at, 'alarm_raised', w.condition, null, w.priority, f.second_opinion
    from alarm w left join finding f on f.finding_id = (w.reason ->> 'finding_id')::bigint where w.role_id = %(role_id)s
    union all
    select cleared_at, 'alarm_cleared', condition, null, priority, null from alarm where role_id = %(role_id)s and cleared_at is not null
    union all
    select created_at, 'order_raised', kind, work_order_id, priority, null from work_order where role_id = %(role_id)s
    union all
    select finished_at, 'order_finished', coalesce(verdict, state), work_order_id, priority, null
    from work_order where role_id = %(role_id)s and finished_at is not null
    union all
    select failed_at, 'failed', failure_mode, null, null, null from failure_case where role_id = %(role_id)s and failed_at is not null
) as happened
where at is not null
order by at desc, kind
limit %(limit)s;

-- name: page_findings
-- Newest findings about the machine, one a point: the first of the run and how many.
select q.name as point, q.unit, f.detector, min(f.at) as first_at, max(f.at) as last_at, count(*)::int as count, max(f.score) as score
from finding f join point q using (point_id)
where f.asset_id = %(asset_id)s
group by q.name, q.unit, f.detector
order by max(f.at) desc
limit 12;

-- name: page_alarms
-- Alarms, the open ones by consequence first. `open` null: all.
select w.alarm_id, w.role_id, r.name as role, a.serial_number, c.name as customer, s.name as site, s.time_zone, m.life_unit,
       w.condition, w.state, w.priority, w.raised_at, w.acknowledged_at, w.cleared_at, w.shelved_until, t.name as acknowledged_by,
       p.life_p10, p.life_p50, p.life_p90, p.probability, p.horizon, o.work_order_id, o.planned_from, f.second_opinion
from alarm w
join role r using (role_id) join line using (line_id) join area using (area_id) join site s using (site_id)
join customer c on c.customer_id = w.customer_id
join asset a on a.asset_id = w.asset_id join asset_model m on m.asset_model_id = a.asset_model_id
left join person t on t.account_id = w.acknowledged_by
left join finding f on f.finding_id = (w.reason ->> 'finding_id')::bigint
left join lateral (select * from prediction where asset_id = w.asset_id and role_id = w.role_id order by at desc limit 1) p on w.state <> 'normal'
left join lateral (
    select x.work_order_id, v.planned_from
    from work_order x left join visit v on v.work_order_id = x.work_order_id and v.finished_at is null
    where x.role_id = w.role_id and x.asset_id = w.asset_id and x.finished_at is null order by x.work_order_id limit 1
) o on true
where (%(open)s::boolean is null or (w.state <> 'normal') = %(open)s)
order by w.state = 'normal', array_position(array['critical', 'high', 'medium', 'low'], w.priority),
         case when w.state <> 'normal' then p.life_p10 end, w.raised_at desc
limit %(limit)s;

-- name: page_alarm_counts
select count(*) filter (where state <> 'normal')::int as open,
       count(*) filter (where state in ('unacknowledged', 'returned_unacknowledged'))::int as unseen,
       count(*) filter (where state = 'shelved')::int as shelved,
       count(*) filter (where state = 'normal')::int as past
from alarm;

-- name: page_orders
-- Work orders with their visit. Filters that are null do not filter.
select w.work_order_id, w.role_id, r.name as role, a.serial_number, w.asset_id, c.name as customer, s.name as site, s.time_zone,
       m.life_unit, w.failure_mode, w.kind, w.state, w.priority, w.reason, w.created_at, w.due_at, w.finished_at, w.verdict, w.cause_code,
       w.note, b.serial_number as replaced_by_serial, k.failed_at,
       v.technician_id, t.name as technician, v.planned_from, v.planned_until, v.started_at, v.finished_at as visit_finished_at
from work_order w
join role r using (role_id) join line using (line_id) join area using (area_id) join site s using (site_id)
join customer c on c.customer_id = w.customer_id
join asset a on a.asset_id = w.asset_id join asset_model m on m.asset_model_id = a.asset_model_id
join failure_case k using (failure_case_id)
left join asset b on b.asset_id = w.replaced_by
left join lateral (select * from visit where visit.work_order_id = w.work_order_id order by visit_id desc limit 1) v on true
left join person t on t.account_id = v.technician_id
where (%(work_order_id)s::int is null or w.work_order_id = %(work_order_id)s)
  and (%(open)s::boolean is null or (w.finished_at is null) = %(open)s)
  and (%(role_id)s::int is null or w.role_id = %(role_id)s)
  and (%(technician_id)s::int is null or v.technician_id = %(technician_id)s)
order by w.finished_at desc nulls first, coalesce(v.planned_from, w.due_at), w.work_order_id
limit %(limit)s;

-- name: page_order_counts
select count(*) filter (where finished_at is null)::int as open, count(*) filter (where finished_at is not null)::int as past from work_order;

-- name: page_order_steps
select position, code, done_at from work_order_step where work_order_id = %(work_order_id)s order by position;

-- name: page_order_events
select e.at, e.state, p.name as person
from work_order_event e left join person p using (account_id)
where e.work_order_id = %(work_order_id)s
order by e.work_order_event_id;

-- name: page_avoided
-- What predictions came to: orders raised before a failure and confirmed in the shop; failures that happened all the same.
select count(*) filter (where w.verdict = 'confirmed' and w.kind = 'predictive' and k.failed_at is null)::int as avoided,
       count(*) filter (where w.verdict in ('early', 'wrong'))::int as early,
       count(distinct k.failure_case_id) filter (where k.failed_at is not null)::int as failed
from failure_case k left join work_order w using (failure_case_id)
where (%(customer_id)s::int is null or k.customer_id = %(customer_id)s) and k.opened_at < %(until)s
  and coalesce(k.closed_at, %(until)s) >= %(since)s;

-- name: page_contract_models
-- The models of machines whose roles the contract's customer has.
select distinct m.code, m.name, m.life_unit
from contract c join role r using (customer_id) join asset_model m using (asset_model_id)
where c.contract_id = %(contract_id)s
order by m.code;

-- name: page_customer_name
select name from customer where customer_id = %(customer_id)s;
