-- name: installation_at
-- Where the asset stood when its reading at `at` was taken. A reading speaks for the time before it.
select i.*, a.serial_number, a.asset_model_id
from installation i join asset a using (asset_id)
where i.asset_id = %(asset_id)s and i.installed_at < %(at)s and (i.removed_at is null or %(at)s <= i.removed_at)

-- name: installation_current
select i.*, a.serial_number, a.asset_model_id
from installation i join asset a using (asset_id)
where i.asset_id = %(asset_id)s and i.removed_at is null

-- name: installation_end
update installation set removed_at = %(at)s where installation_id = %(installation_id)s and removed_at is null

-- name: installation_begin
insert into installation (customer_id, role_id, asset_id, installed_at)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(at)s)

-- name: spare_first
-- Serviceable, standing in no role. A spare that another transaction is taking is passed over.
select a.asset_id, a.serial_number
from asset a
where a.asset_model_id = %(asset_model_id)s and a.condition = 'serviceable'
  and not exists (select from installation i where i.asset_id = a.asset_id and (i.removed_at is null or i.removed_at >= %(at)s))
order by a.serial_number
limit 1
for no key update of a skip locked

-- name: spare_named
select a.asset_id, a.serial_number, a.condition = 'serviceable' as serviceable,
       exists (select from installation i where i.asset_id = a.asset_id and (i.removed_at is null or i.removed_at >= %(at)s)) as installed
from asset a
where a.asset_model_id = %(asset_model_id)s and a.serial_number = %(serial_number)s
for no key update of a

-- name: asset_condition
update asset set condition = %(condition)s where asset_id = %(asset_id)s

-- name: installation_known
-- Whether the role ever had a machine, or the machine ever a role.
select exists (select from installation where role_id = %(role_id)s or asset_id = %(asset_id)s)

-- name: installations_standing
-- Machines of a model and where each stood at `at`, by serial number.
select a.serial_number, s.name as site, r.name as role, a.asset_id, i.installed_at
from installation i
join asset a using (asset_id)
join role r on r.role_id = i.role_id
join line l on l.line_id = r.line_id
join area e on e.area_id = l.area_id
join site s on s.site_id = e.site_id
where r.asset_model_id = %(asset_model_id)s and i.installed_at < %(at)s and (i.removed_at is null or %(at)s <= i.removed_at)
order by a.serial_number
