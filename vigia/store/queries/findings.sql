-- Findings and the state of the detectors that made them.

-- name: add_finding
insert into finding (customer_id, asset_id, point_id, detector, at, score, why)
values (%(customer_id)s, %(asset_id)s, %(point_id)s, %(detector)s, %(at)s, %(score)s, %(why)s)
returning finding_id

-- name: finding_channel
-- Whose readings a second opinion compares: healthy since the machine was installed, or since its last failure case was closed.
select f.finding_id, f.customer_id, i.role_id, f.asset_id, f.point_id, f.detector, f.at,
       greatest(i.installed_at,
                (select max(c.closed_at) from failure_case c where c.asset_id = f.asset_id and c.closed_at < f.at)) as healthy_from
from finding f
join installation i on i.asset_id = f.asset_id and i.installed_at <= f.at and (i.removed_at is null or i.removed_at > f.at)
where f.finding_id = %(finding_id)s

-- name: finding_over
-- All that the detector has told of the point, or of the machine's channels together, and that was not over yet.
update finding set over_at = %(at)s
where asset_id = %(asset_id)s and detector = %(detector)s and (point_id = %(point_id)s or detector = 'together')
  and over_at is null and at <= %(at)s
returning finding_id

-- name: sensor_faults
select point_id, at, over_at, (why ->> 'readings')::int as readings
from finding
where asset_id = %(asset_id)s and detector = 'sensor' and at <= %(until)s and (over_at is null or over_at > %(since)s)
order by at

-- name: finding_second_opinion
update finding set second_opinion = %(opinion)s where finding_id = %(finding_id)s

-- name: explain_finding
update finding set why = why || %(more)s where finding_id = %(finding_id)s

-- name: detector_versions
select edge_node_id, updated_at from detector_snapshot where edge_node_id = any(%(edge_node_ids)s)

-- name: detector_snapshot
select edge_node_id, point_ids, state, updated_at from detector_snapshot where edge_node_id = %(edge_node_id)s

-- name: save_detector_snapshots
-- Of many edges, each with the `points` that stand in `point_id` and `state` before its `until`; `width` bytes of state a point.
insert into detector_snapshot (edge_node_id, point_ids, state, updated_at)
select edge_node_id, (%(point_id)s)[until - points + 1 : until], substring(%(state)s from (until - points) * %(width)s + 1 for points * %(width)s),
       clock_timestamp()
from unnest(%(edge_node_id)s, %(points)s, %(until)s) as n (edge_node_id, points, until)
order by edge_node_id
on conflict (edge_node_id) do update set point_ids = excluded.point_ids, state = excluded.state, updated_at = excluded.updated_at
returning edge_node_id, updated_at
