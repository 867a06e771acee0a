-- The lists of the REST interface. Each is ordered by its key and continues after (before) the key of the last row shown, so that
-- rows inserted meanwhile neither repeat nor hide another. `cursor` null starts. Filters that are null do not filter.
-- Who sees which row is decided by row-level security, not here.

-- name: list_customers
select customer_id, code, name
from customer
where customer_id > coalesce(%(cursor)s::bigint, 0) and (%(id)s::int is null or customer_id = %(id)s)
order by customer_id
limit %(limit)s;

-- name: list_sites
select s.site_id, s.customer_id, c.name as customer, s.code, s.name, s.time_zone,
       (select count(*) from installation i join role r using (role_id) join line l using (line_id) join area a using (area_id)
        where a.site_id = s.site_id and i.removed_at is null) as assets
from site s join customer c using (customer_id)
where s.site_id > coalesce(%(cursor)s::bigint, 0)
  and (%(id)s::int is null or s.site_id = %(id)s)
  and (%(customer_id)s::int is null or s.customer_id = %(customer_id)s)
order by s.site_id
limit %(limit)s;

-- name: list_assets
-- Where each stands now, and its newest prediction.
select a.asset_id, a.serial_number, m.code as model, m.name as model_name, m.life_unit, a.condition,
       i.customer_id, i.installed_at, r.role_id, r.name as role, l.name as line, ar.name as area, s.site_id, s.name as site, s.time_zone,
       p.prediction_id, p.at as predicted_at, p.failure_mode, p.horizon, p.probability, p.life_p10, p.life_p50, p.life_p90, p.health
from asset a
join asset_model m using (asset_model_id)
left join installation i on i.asset_id = a.asset_id and i.removed_at is null
left join role r on r.role_id = i.role_id
left join line l on l.line_id = r.line_id
left join area ar on ar.area_id = l.area_id
left join site s on s.site_id = ar.site_id
left join lateral (select * from prediction where prediction.asset_id = a.asset_id order by at desc limit 1) p on true
where a.asset_id > coalesce(%(cursor)s::bigint, 0)
  and (%(id)s::int is null or a.asset_id = %(id)s)
  and (%(customer_id)s::int is null or i.customer_id = %(customer_id)s)
  and (%(site_id)s::int is null or s.site_id = %(site_id)s)
  and (%(serial_number)s::text is null or a.serial_number = %(serial_number)s)
  and (%(installed)s::boolean is null or (i.installation_id is not null) = %(installed)s)
order by a.asset_id
limit %(limit)s;

-- name: list_installations
-- Where an asset has stood, newest first: the caller's own places only.
select i.installation_id, i.asset_id, i.customer_id, i.role_id, r.name as role, s.site_id, s.name as site, i.installed_at, i.removed_at
from installation i
join role r using (role_id) join line l using (line_id) join area ar using (area_id) join site s using (site_id)
where i.asset_id = %(asset_id)s
order by i.installed_at desc;

-- name: list_predictions
select p.prediction_id, p.customer_id, p.role_id, p.asset_id, a.serial_number, p.failure_mode, p.at, p.horizon, p.probability,
       p.probabilities, p.life_p10, p.life_p50, p.life_p90, m.life_unit, p.health, p.contributions, p.similar_cases, v.version as model_version,
       coalesce(v.metrics ->> 'method', 'trees') as method
from prediction p
join asset a using (asset_id) join asset_model m using (asset_model_id) join model_version v using (model_version_id)
where p.prediction_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::bigint is null or p.prediction_id = %(id)s)
  and (%(asset_id)s::int is null or p.asset_id = %(asset_id)s)
  and (%(failure_mode)s::text is null or p.failure_mode = %(failure_mode)s)
  and (%(since)s::timestamptz is null or p.at >= %(since)s)
  and (%(until)s::timestamptz is null or p.at < %(until)s)
order by p.prediction_id desc
limit %(limit)s;

-- name: list_models
select v.model_version_id, m.code as asset_model, v.failure_mode, v.version,
       case when v.champion then 'champion' when v.shadow then 'shadow' when v.withdrawn_at is not null then 'withdrawn' else 'registered' end as state,
       v.metrics, v.sha256, v.data_sha256, v.code_version, v.approved_by, v.approved_at, v.replaced_id, v.withdrawn_at, v.created_at,
       (select to_jsonb(d) - 'model_version_id' from model_drift d where d.model_version_id = v.model_version_id order by day desc limit 1) as drift
from model_version v join asset_model m using (asset_model_id)
where v.model_version_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or v.model_version_id = %(id)s)
order by v.model_version_id desc
limit %(limit)s;

-- name: list_findings
select f.finding_id, f.customer_id, f.asset_id, a.serial_number, f.point_id, p.name as point, p.unit, f.detector, f.at, f.score, f.why,
       f.over_at, f.second_opinion
from finding f join asset a using (asset_id) join point p using (point_id)
where f.finding_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::bigint is null or f.finding_id = %(id)s)
  and (%(asset_id)s::int is null or f.asset_id = %(asset_id)s)
  and (%(since)s::timestamptz is null or f.at >= %(since)s)
  and (%(until)s::timestamptz is null or f.at < %(until)s)
order by f.finding_id desc
limit %(limit)s;

-- name: list_alarms
select w.alarm_id, w.customer_id, w.role_id, r.name as role, w.asset_id, a.serial_number, w.condition, w.failure_case_id, w.state,
       w.priority, w.raised_at, w.acknowledged_at, w.confirmed_at, w.cleared_at, w.shelved_until, w.reason
from alarm w join role r using (role_id) join asset a on a.asset_id = w.asset_id
where w.alarm_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or w.alarm_id = %(id)s)
  and (%(open)s::boolean is null or (w.state <> 'normal') = %(open)s)
  and (%(state)s::text is null or w.state = %(state)s)
  and (%(priority)s::text is null or w.priority = %(priority)s)
  and (%(asset_id)s::int is null or w.asset_id = %(asset_id)s)
order by w.alarm_id desc
limit %(limit)s;

-- name: list_failure_cases
select f.failure_case_id, f.customer_id, f.role_id, r.name as role, f.asset_id, a.serial_number, f.failure_mode, f.opened_at,
       f.closed_at, f.failed_at, f.prediction_id,
       (select w.work_order_id from work_order w where w.failure_case_id = f.failure_case_id order by w.work_order_id desc limit 1)
           as work_order_id
from failure_case f join role r using (role_id) join asset a on a.asset_id = f.asset_id
where f.failure_case_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or f.failure_case_id = %(id)s)
  and (%(open)s::boolean is null or (f.closed_at is null) = %(open)s)
  and (%(asset_id)s::int is null or f.asset_id = %(asset_id)s)
order by f.failure_case_id desc
limit %(limit)s;

-- name: list_work_orders
-- With the visit that is planned, or the last one.
select w.work_order_id, w.customer_id, w.role_id, r.name as role, s.site_id, s.name as site, s.time_zone, w.asset_id, a.serial_number,
       w.failure_case_id, w.failure_mode, w.kind, w.state, w.priority, w.reason, w.created_at, w.due_at, w.finished_at, w.verdict,
       w.cause_code, w.note, b.serial_number as replaced_by_serial,
       v.visit_id, v.technician_id, v.planned_from, v.planned_until, v.started_at
from work_order w
join role r using (role_id) join line l using (line_id) join area ar using (area_id) join site s using (site_id)
join asset a on a.asset_id = w.asset_id
left join asset b on b.asset_id = w.replaced_by
left join lateral (select * from visit where visit.work_order_id = w.work_order_id order by visit_id desc limit 1) v on true
where w.work_order_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or w.work_order_id = %(id)s)
  and (%(open)s::boolean is null or (w.finished_at is null) = %(open)s)
  and (%(state)s::text is null or w.state = %(state)s)
  and (%(asset_id)s::int is null or w.asset_id = %(asset_id)s)
  and (%(technician_id)s::int is null or v.technician_id = %(technician_id)s)
order by w.work_order_id desc
limit %(limit)s;

-- name: list_visits
select v.visit_id, v.customer_id, v.work_order_id, v.technician_id, t.name as technician, s.site_id, s.name as site, s.time_zone,
       v.planned_from, v.planned_until, v.started_at, v.finished_at
from visit v
join work_order w using (work_order_id) join role r using (role_id) join line l using (line_id) join area ar using (area_id)
join site s using (site_id)
left join person t on t.account_id = v.technician_id
where v.visit_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or v.visit_id = %(id)s)
  and (%(open)s::boolean is null or (v.finished_at is null) = %(open)s)
  and (%(work_order_id)s::int is null or v.work_order_id = %(work_order_id)s)
  and (%(technician_id)s::int is null or v.technician_id = %(technician_id)s)
order by v.visit_id desc
limit %(limit)s;

-- name: list_contracts
select contract_id, customer_id, name, tier, starts_at, ends_at, currency, rate_per_hour, guaranteed_availability, credit_per_point,
       credit_cap, predictive_lead, corrective_lead, visit_duration
from contract
where contract_id > coalesce(%(cursor)s::bigint, 0)
  and (%(id)s::int is null or contract_id = %(id)s)
  and (%(customer_id)s::int is null or customer_id = %(customer_id)s)
order by contract_id
limit %(limit)s;

-- name: list_commands
select c.command_id, c.customer_id, c.role_id, r.name as role, c.asset_id, a.serial_number, c.uid, c.metric, c.value, c.unit, c.critical,
       c.reason, c.state, c.requested_at, c.requested_by, w.name as requester,
       (select coalesce(jsonb_agg(jsonb_build_object('account_id', p.account_id, 'name', v.name, 'at', p.at) order by p.at), '[]')
        from command_approval p left join person v using (account_id) where p.command_id = c.command_id) as approvals,
       c.expires_at, c.sent_at, c.answered_at, c.ended_at, c.detail
from command c join role r using (role_id) join asset a on a.asset_id = c.asset_id
left join person w on w.account_id = c.requested_by
where c.command_id < coalesce(%(cursor)s::bigint, 9223372036854775807)
  and (%(id)s::int is null or c.command_id = %(id)s)
  and (%(open)s::boolean is null or (c.ended_at is null) = %(open)s)
  and (%(state)s::text is null or c.state = %(state)s)
  and (%(asset_id)s::int is null or c.asset_id = %(asset_id)s)
order by c.command_id desc
limit %(limit)s;

-- name: list_edge_nodes
-- With the account of its numbered batches over all its epochs.
select n.edge_node_id, n.customer_id, n.site_id, s.name as site, n.group_id, n.node_id, n.online, n.born_at, n.died_at,
       n.last_reading_at, n.last_commit_at, n.agent_version, n.configuration_sha256, n.clock_skew_ms, n.checked_in_at,
       n.configuration_version,
       (select max(version) from edge_configuration c where c.edge_node_id = n.edge_node_id and c.state in ('released', 'applied'))
           as configuration_wanted,
       (select max(valid_until) from edge_certificate c where c.edge_node_id = n.edge_node_id and c.revoked_at is null) as certificate_until,
       (select coalesce(sum(committed), 0)::bigint from ledger g where g.edge_node_id = n.edge_node_id) as committed,
       (select coalesce(sum(buried), 0)::bigint from ledger g where g.edge_node_id = n.edge_node_id) as dropped,
       (select coalesce(sum(upper(hole) - lower(hole)), 0)::bigint from ledger_hole h where h.edge_node_id = n.edge_node_id) as missing
from edge_node n join site s using (site_id)
where n.edge_node_id > coalesce(%(cursor)s::bigint, 0)
  and (%(id)s::int is null or n.edge_node_id = %(id)s)
  and (%(site_id)s::int is null or n.site_id = %(site_id)s)
order by n.edge_node_id
limit %(limit)s;

-- name: list_rollouts
select r.rollout_id, r.reason, r.canary_share, r.stage, r.created_at, r.ended_at,
       count(*) filter (where c.state = 'waiting') as waiting, count(*) filter (where c.state = 'released') as released,
       count(*) filter (where c.state = 'applied') as applied, count(*) filter (where c.state = 'failed') as failed,
       count(*) filter (where c.state = 'withdrawn') as withdrawn
from rollout r join edge_configuration c using (rollout_id)
where r.rollout_id < coalesce(%(cursor)s::bigint, 9223372036854775807) and (%(id)s::int is null or r.rollout_id = %(id)s)
group by r.rollout_id
order by r.rollout_id desc
limit %(limit)s;

-- name: list_edge_configurations
select edge_configuration_id, version, rollout_id, canary, sha256, state, changed_at, detail
from edge_configuration
where edge_configuration_id < coalesce(%(cursor)s::bigint, 9223372036854775807) and edge_node_id = %(edge_node_id)s
order by edge_configuration_id desc
limit %(limit)s;

-- name: list_points
-- With the latest reading.
select p.point_id, p.asset_id, p.name, p.kind, p.unit, p.description, p.low, p.high, t.ts as latest_at, t.value as latest, t.quality
from point p left join point_latest_visible t using (point_id)
where p.point_id > coalesce(%(cursor)s::bigint, 0) and p.asset_id = %(asset_id)s
order by p.point_id
limit %(limit)s;

-- name: newest_migration
select max(name) from schema_migration where component = 'vigia';
