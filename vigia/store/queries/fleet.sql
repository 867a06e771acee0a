-- Equipment. Adding what exists renews its name and gives its id.

-- name: newest_reading_at_fleet_clock
-- Nothing, unless the process lives in the fleet's time.
select max(last_reading_at) from edge_node where current_setting('vigia.clock', true) = 'fleet'

-- name: customers
select customer_id, code, name from customer order by name

-- name: sites
select site_id, customer_id, code, name, time_zone
from site
where %(customer_id)s::int is null or customer_id = %(customer_id)s
order by name, site_id

-- name: fleet_edge_nodes
select edge_node_id, customer_id, site_id, group_id, node_id, online, bd_seq, born_at, died_at, last_reading_at, last_commit_at, epoch, newest_eseq
from edge_node
order by group_id, node_id

-- name: edge_node_by_identity
select edge_node_id, customer_id, site_id, group_id, node_id, online, bd_seq, born_at, died_at, last_reading_at, last_commit_at, epoch, newest_eseq
from edge_node
where lower(group_id) = lower(%(group_id)s) and lower(node_id) = lower(%(node_id)s)

-- name: roles
select r.role_id, r.customer_id, r.line_id, r.asset_model_id, r.name, r.edge_node_id, r.device_id, l.name as line, a.name as area,
       s.site_id, s.name as site, s.time_zone, i.asset_id, m.serial_number, i.installed_at
from role r
join line l using (line_id)
join area a using (area_id)
join site s using (site_id)
left join installation i on i.role_id = r.role_id and i.removed_at is null
left join asset m on m.asset_id = i.asset_id
where %(customer_id)s::int is null or r.customer_id = %(customer_id)s
order by s.name, a.name, l.name, r.name

-- name: asset_model_by_code
select asset_model_id, code, name, life_unit from asset_model where code = %(code)s

-- name: asset_by_id
select asset_id, asset_model_id, serial_number, condition from asset where asset_id = %(asset_id)s

-- name: fleet_asset_by_serial
select asset_id, asset_model_id, serial_number, condition
from asset
where asset_model_id = %(asset_model_id)s and serial_number = %(serial_number)s

-- name: serviceable_pool
select asset_id, asset_model_id, serial_number, condition
from asset a
where asset_model_id = %(asset_model_id)s and condition = 'serviceable'
  and not exists (select from installation i where i.asset_id = a.asset_id and i.removed_at is null)
order by serial_number

-- name: add_customer
insert into customer (code, name) values (%(code)s, %(name)s)
on conflict (code) do update set name = excluded.name
returning customer_id

-- name: add_site
insert into site (customer_id, code, name, time_zone) values (%(customer_id)s, %(code)s, %(name)s, %(time_zone)s)
on conflict (customer_id, code) do update set name = excluded.name, time_zone = excluded.time_zone
returning site_id

-- name: add_area
insert into area (customer_id, site_id, name) values (%(customer_id)s, %(site_id)s, %(name)s)
on conflict (customer_id, site_id, name) do update set name = excluded.name
returning area_id

-- name: add_line
insert into line (customer_id, area_id, name) values (%(customer_id)s, %(area_id)s, %(name)s)
on conflict (customer_id, area_id, name) do update set name = excluded.name
returning line_id

-- name: add_asset_model
insert into asset_model (code, name, life_unit) values (%(code)s, %(name)s, %(life_unit)s)
on conflict (code) do update set name = excluded.name
returning asset_model_id

-- name: add_edge_node
insert into edge_node (customer_id, site_id, group_id, node_id) values (%(customer_id)s, %(site_id)s, %(group_id)s, %(node_id)s)
on conflict (lower(group_id), lower(node_id)) do update set group_id = edge_node.group_id
returning edge_node_id

-- name: add_role
insert into role (customer_id, line_id, asset_model_id, name, edge_node_id, device_id)
values (%(customer_id)s, %(line_id)s, %(asset_model_id)s, %(name)s, %(edge_node_id)s, %(device_id)s)
on conflict (customer_id, line_id, name) do update set edge_node_id = excluded.edge_node_id, device_id = excluded.device_id
returning role_id

-- name: add_asset
insert into asset (asset_model_id, serial_number) values (%(asset_model_id)s, %(serial_number)s)
on conflict (asset_model_id, serial_number) do update set serial_number = excluded.serial_number
returning asset_id

-- name: count_assets
select count(*) from asset where asset_model_id = %(asset_model_id)s and starts_with(serial_number, %(prefix)s)

-- name: edge_node_by_id
select edge_node_id, customer_id, site_id, group_id, node_id, online, bd_seq, born_at, died_at, last_reading_at, last_commit_at, epoch, newest_eseq
from edge_node
where edge_node_id = %(edge_node_id)s
