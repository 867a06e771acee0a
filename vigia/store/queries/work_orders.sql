-- name: work_order
select w.*, a.serial_number, r.name as role_name, n.serial_number as replaced_by_serial, c.failed_at
from work_order w
join asset a using (asset_id)
join role r on r.role_id = w.role_id
join failure_case c on c.failure_case_id = w.failure_case_id
left join asset n on n.asset_id = w.replaced_by
where w.work_order_id = %(work_order_id)s

-- name: work_orders_open_of_asset
select w.*, a.serial_number, r.name as role_name, n.serial_number as replaced_by_serial, c.failed_at
from work_order w
join asset a using (asset_id)
join role r on r.role_id = w.role_id
join failure_case c on c.failure_case_id = w.failure_case_id
left join asset n on n.asset_id = w.replaced_by
where w.asset_id = %(asset_id)s and w.finished_at is null
order by w.work_order_id

-- name: work_orders_to_plan
-- Approved orders that nobody is booked for, most urgent first.
select w.*, a.serial_number, r.name as role_name, n.serial_number as replaced_by_serial, c.failed_at
from work_order w
join asset a using (asset_id)
join role r on r.role_id = w.role_id
join failure_case c on c.failure_case_id = w.failure_case_id
left join asset n on n.asset_id = w.replaced_by
where w.state = 'approved' and w.finished_at is null
  and not exists (select from visit v where v.work_order_id = w.work_order_id and v.finished_at is null)
order by array_position(array['critical', 'high', 'medium', 'low'], w.priority), w.due_at, w.work_order_id

-- name: work_order_exists_for_case
select exists (select from work_order where failure_case_id = %(failure_case_id)s and state <> 'cancelled')

-- name: work_order_raise
-- One open order per asset and failure mode: work_order_open_key absorbs the second.
insert into work_order (customer_id, role_id, asset_id, failure_case_id, failure_mode, kind, state, priority, reason, created_at, due_at)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(failure_case_id)s, %(failure_mode)s, %(kind)s, %(state)s, %(priority)s,
        %(reason)s, %(at)s, %(due_at)s)
on conflict (asset_id, failure_mode) where finished_at is null do nothing
returning work_order_id

-- name: work_order_step_add
insert into work_order_step (customer_id, work_order_id, position, code)
select %(customer_id)s, %(work_order_id)s, position, code
from unnest(%(codes)s::text[]) with ordinality as step (code, position)

-- name: work_order_steps
select position, code, done_at from work_order_step where work_order_id = %(work_order_id)s order by position

-- name: work_order_step_done
update work_order_step set done_at = %(at)s
where work_order_id = %(work_order_id)s and position = %(position)s and done_at is null

-- name: work_order_steps_done
update work_order_step set done_at = %(at)s where work_order_id = %(work_order_id)s and done_at is null

-- name: work_order_state
update work_order set state = %(state)s where work_order_id = %(work_order_id)s

-- name: work_order_log
insert into work_order_event (customer_id, work_order_id, at, state, account_id)
select customer_id, work_order_id, %(at)s, %(state)s, %(account_id)s from work_order where work_order_id = %(work_order_id)s

-- name: work_order_events
select at, state, account_id from work_order_event where work_order_id = %(work_order_id)s order by work_order_event_id

-- name: work_order_urgent
update work_order set priority = 'critical', due_at = %(due_at)s where work_order_id = %(work_order_id)s

-- name: work_order_finish
update work_order
set finished_at = %(at)s, verdict = %(verdict)s, cause_code = %(cause_code)s, note = %(note)s, replaced_by = %(replaced_by)s
where work_order_id = %(work_order_id)s and finished_at is null

-- name: work_order_end
update work_order set finished_at = %(at)s where work_order_id = %(work_order_id)s and finished_at is null

-- name: work_order_proved_wrong
select exists (select from work_order where asset_id = %(asset_id)s and failure_mode = %(failure_mode)s and verdict = 'wrong')
