-- Edge nodes, and the births that say what their devices are.

-- name: known_edge_nodes
select edge_node_id, customer_id, group_id, node_id, bd_seq, epoch from edge_node

-- name: edge_clock
select coalesce(last_reading_at, now()) from edge_node where edge_node_id = %(edge_node_id)s

-- name: node_born
update edge_node
set online = true, bd_seq = %(bd_seq)s, born_at = now(), agent_version = %(agent_version)s, configuration_sha256 = %(configuration_sha256)s,
    clock_skew_ms = %(clock_skew_ms)s
where edge_node_id = %(edge_node_id)s

-- name: node_births_end
-- A node's new birth: its devices are silent until each is born again.
update birth set alive = false, died_at = now() where edge_node_id = %(edge_node_id)s and device_id <> '' and alive

-- name: node_died
update edge_node set online = false, died_at = now() where edge_node_id = %(edge_node_id)s

-- name: births_end
update birth set alive = false, died_at = coalesce(%(at)s::timestamptz, now())
where edge_node_id = %(edge_node_id)s and (%(device_id)s::text is null or device_id = %(device_id)s) and alive

-- name: born_points
-- The points in the last births of an edge's devices, or of one device.
select (m ->> 'point_id')::int as point_id
from birth b cross join jsonb_array_elements(b.metrics) as m
where b.edge_node_id = %(edge_node_id)s and (%(device_id)s::text is null or b.device_id = %(device_id)s) and m ->> 'point_id' is not null

-- name: keep_birth
insert into birth as b (edge_node_id, device_id, bd_seq, born_at, asset_id, metrics, writable, alive)
values (%(edge_node_id)s, %(device_id)s, %(bd_seq)s, now(), %(asset_id)s, %(metrics)s, %(writable)s, true)
on conflict (edge_node_id, device_id) do update
set bd_seq = excluded.bd_seq, born_at = excluded.born_at, asset_id = excluded.asset_id, metrics = excluded.metrics,
    writable = excluded.writable, alive = true, died_at = null

-- name: role_of_device
-- The role a device reports for, and the machine that stands in it. Locked: two births cannot both move a machine.
select r.role_id, r.customer_id, r.device_id, r.asset_model_id, i.asset_id, i.installed_at, a.serial_number
from role r
left join installation i on i.role_id = r.role_id and i.removed_at is null
left join asset a on a.asset_id = i.asset_id
where r.edge_node_id = %(edge_node_id)s and lower(r.device_id) = lower(%(device_id)s)
order by r.device_id = %(device_id)s desc
limit 1
for update of r

-- name: asset_of_birth
-- The machine of that model and serial number, made if it is new.
with found as (
    select asset_id from asset where asset_model_id = %(asset_model_id)s and serial_number = %(serial_number)s
), made as (
    insert into asset (asset_model_id, serial_number)
    select %(asset_model_id)s, %(serial_number)s where not exists (select from found)
    on conflict (asset_model_id, serial_number) do update set serial_number = excluded.serial_number
    returning asset_id
)
select asset_id from found union all select asset_id from made

-- name: is_foreign_machine
-- Whether it stands at another customer, and was not at this one at that moment (null: ever).
select exists (select from installation where asset_id = %(asset_id)s and removed_at is null and customer_id <> %(customer_id)s)
   and not exists (select from installation
                   where asset_id = %(asset_id)s and customer_id = %(customer_id)s
                     and (%(at)s::timestamptz is null
                          or (installed_at <= %(at)s::timestamptz and coalesce(removed_at, 'infinity') >= %(at)s::timestamptz)))

-- name: installations_after
-- What stands against the machine coming to the role at that moment: it, or another machine there, is on record at or after it.
select count(*)
from installation
where (asset_id = %(asset_id)s or role_id = %(role_id)s)
  and (installed_at >= %(at)s - interval '1 millisecond' or removed_at > %(at)s or (asset_id = %(asset_id)s and removed_at = %(at)s))

-- name: end_installations
-- The machine leaves the role it stood in, and the role's machine leaves it.
update installation set removed_at = %(at)s - interval '1 microsecond' * (asset_id = %(asset_id)s)::int
where removed_at is null and (asset_id = %(asset_id)s or role_id = %(role_id)s)

-- name: ever_installed
select exists (select from installation where asset_id = %(asset_id)s)

-- name: shorten_installation
-- The installation in the role at that moment ends there; gives when it used to end.
update installation i set removed_at = %(at)s
from (select installation_id, removed_at from installation
      where role_id = %(role_id)s and installed_at < %(at)s and removed_at > %(at)s) as was
where i.installation_id = was.installation_id
returning was.removed_at

-- name: add_installation
insert into installation (customer_id, role_id, asset_id, installed_at, removed_at)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(at)s, %(until)s)

-- name: points_of_birth
-- The points of an asset by the metrics of its birth: made if new, changed if the birth says so.
with said as (
    select * from jsonb_to_recordset(%(metrics)s) as s (name text, kind text, unit text, description text, low float8, high float8)
), kept as (
    insert into point as p (asset_id, name, kind, unit, description, low, high)
    select %(asset_id)s, name, kind, unit, description, low, high from said order by name
    on conflict (asset_id, name) do update
    set kind = excluded.kind, unit = excluded.unit, description = excluded.description, low = excluded.low, high = excluded.high
    where (p.kind, p.unit, p.description, p.low, p.high)
          is distinct from (excluded.kind, excluded.unit, excluded.description, excluded.low, excluded.high)
    returning p.point_id, p.name, p.kind
)
select point_id, name, kind from kept
union
select p.point_id, p.name, s.kind from point p join said s using (name) where p.asset_id = %(asset_id)s
