-- What the measurements ask of the database.

-- name: measured_machines
-- An edge node, a role and a machine in it for each of `node_ids` and `serial_numbers` (same order), with the points `point_names`; the ids
-- of the points by edge node, then point.
with told as (
    select * from unnest(%(node_ids)s::text[], %(serial_numbers)s::text[]) with ordinality as told (node_id, serial_number, position)
), node as (
    insert into edge_node (customer_id, site_id, group_id, node_id)
    select %(customer_id)s, %(site_id)s, %(group_id)s, node_id from told order by position
    returning edge_node_id, node_id
), place as (
    insert into role (customer_id, line_id, asset_model_id, name, edge_node_id, device_id)
    select %(customer_id)s, %(line_id)s, %(asset_model_id)s, node_id, edge_node_id, %(device_id)s from node order by edge_node_id
    returning role_id, name
), machine as (
    insert into asset (asset_model_id, serial_number) select %(asset_model_id)s, serial_number from told order by position
    returning asset_id, serial_number
), installed as (
    insert into installation (customer_id, role_id, asset_id, installed_at)
    select %(customer_id)s, role_id, asset_id, %(installed_at)s
    from told join place on place.name = told.node_id join machine using (serial_number)
), measured as (
    insert into point (asset_id, name)
    select asset_id, name from machine cross join unnest(%(point_names)s::text[]) with ordinality as named (name, position)
    order by asset_id, position
    returning point_id, asset_id, name
)
select m.point_id
from told join machine using (serial_number) join measured m using (asset_id)
join unnest(%(point_names)s::text[]) with ordinality as named (name, position) on named.name = m.name
order by told.position, named.position;

-- name: measured_tally
-- Of each point that has readings: how many, and the sum of their times in milliseconds since `from_ts`.
select point_id, count(*) as readings, sum(extract(epoch from ts - %(from_ts)s) * 1000)::bigint as total_ms
from telemetry group by point_id order by point_id;

-- name: measured_ledger
-- Numbers that nothing explains, and messages set aside.
select (select count(*) from ledger_hole) as holes, (select count(*) from dead_letter) as dead_letters;
