-- name: visit_open_of_order
select * from visit where work_order_id = %(work_order_id)s and finished_at is null

-- name: visits_of_order
select * from visit where work_order_id = %(work_order_id)s order by visit_id

-- name: visits_unfinished
select technician_id, planned_from, planned_until from visit
where finished_at is null and visit_id is distinct from %(except_visit_id)s::int

-- name: technicians
-- Everyone who can be sent; the time zone they work in is their own setting.
select account_id, preferences->>'time_zone' as time_zone from account where kind = 'technician' and disabled_at is null order by account_id

-- name: visit_place
select s.time_zone
from role r join line l on l.line_id = r.line_id join area a on a.area_id = l.area_id join site s on s.site_id = a.site_id
where r.role_id = %(role_id)s

-- name: visit_plan
-- One open visit per order: visit_open_key absorbs the second.
insert into visit (customer_id, work_order_id, technician_id, planned_from, planned_until)
values (%(customer_id)s, %(work_order_id)s, %(technician_id)s, %(planned_from)s, %(planned_until)s)
on conflict (work_order_id) where finished_at is null do nothing
returning visit_id

-- name: visit_move
update visit set technician_id = %(technician_id)s, planned_from = %(planned_from)s, planned_until = %(planned_until)s
where visit_id = %(visit_id)s and started_at is null

-- name: visit_start
update visit set started_at = %(at)s where visit_id = %(visit_id)s and started_at is null

-- name: visit_finish
update visit set finished_at = %(at)s where visit_id = %(visit_id)s and finished_at is null
