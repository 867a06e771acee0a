-- What machines can be told from afar, and what they were told.

-- name: commandable_of_asset
-- What the machine can be told where it stands now, by the last birth of the device there.
select b.edge_node_id, b.device_id, i.customer_id, i.role_id, b.alive and n.online as online, b.writable
from installation i
join role r using (role_id)
join edge_node n on n.edge_node_id = r.edge_node_id
join birth b on b.edge_node_id = r.edge_node_id and lower(b.device_id) = lower(r.device_id) and b.asset_id = i.asset_id
where i.asset_id = %(asset_id)s and i.removed_at is null
order by b.born_at desc
limit 1

-- name: add_command
-- Nothing when one with this uid is there, or when another command of the metric has not ended.
insert into command (customer_id, role_id, asset_id, edge_node_id, device_id, uid, metric, datatype, unit, value, critical, reason,
                     requested_at, requested_by, expires_at)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(edge_node_id)s, %(device_id)s, %(uid)s, %(metric)s, %(datatype)s, %(unit)s, %(value)s,
        %(critical)s, %(reason)s, %(now)s, %(account_id)s, %(expires_at)s)
on conflict do nothing
returning command_id

-- name: command_of_uid
select command_id, customer_id, role_id, asset_id, metric, value, critical, state, requested_by, expires_at from command where uid = %(uid)s

-- name: lock_command
select command_id, customer_id, role_id, asset_id, metric, value, critical, state, requested_by, expires_at
from command where command_id = %(command_id)s
for update

-- name: command_approvers
select account_id from command_approval where command_id = %(command_id)s order by at, account_id

-- name: approve_command
insert into command_approval (customer_id, command_id, requested_by, account_id, at)
select customer_id, command_id, requested_by, %(account_id)s, %(now)s from command where command_id = %(command_id)s

-- name: set_command_state
update command set state = %(state)s, detail = %(detail)s,
       ended_at = case when %(state)s in ('requested', 'approved', 'sent') then null else %(now)s::timestamptz end
where command_id = %(command_id)s

-- name: sendable_commands
-- Locked; what another worker sends now is left out. The machine must be there, at the device that it was requested for.
select c.command_id, c.customer_id, c.role_id, c.uid, n.group_id, n.node_id, c.device_id, c.metric, c.datatype, c.value, c.expires_at,
       (select a.name || ' #' || a.account_id from account a where a.account_id = c.requested_by) as requested_by,
       array(select a.name || ' #' || a.account_id from command_approval p join account a using (account_id)
             where p.command_id = c.command_id order by p.at, a.account_id) as approved_by
from command c
join edge_node n on n.edge_node_id = c.edge_node_id and n.online
join birth b on b.edge_node_id = c.edge_node_id and b.device_id = c.device_id and b.asset_id = c.asset_id and b.alive
where c.ended_at is null and (c.state = 'approved' or (c.state = 'requested' and not c.critical)) and c.expires_at > %(now)s
order by c.command_id
limit 100
for update of c skip locked

-- name: command_sent
update command set state = 'sent', sent_at = %(now)s, answers_until = %(answers_until)s where command_id = %(command_id)s

-- name: end_overdue_commands
-- What was not sent by its expiry, and what was sent and not answered.
update command c
set state = case when c.state = 'sent' then 'failed' else 'expired' end, ended_at = %(now)s,
    detail = case when c.state = 'sent' then %(no_answer)s::text else %(not_sent)s::text end
from (select command_id from command
      where ended_at is null and coalesce(answers_until, expires_at) <= %(now)s
      order by command_id
      for update skip locked) as overdue
where c.command_id = overdue.command_id
returning c.command_id, c.customer_id, c.role_id, c.state, c.detail

-- name: end_command
-- The gateway's word, which outweighs what was thought meanwhile; its first one counts.
update command
set state = %(outcome)s, detail = %(reason)s, answered_at = %(at)s, ended_at = %(now)s, sent_at = coalesce(sent_at, %(now)s),
    answers_until = coalesce(answers_until, %(now)s)
where uid = %(uid)s and edge_node_id = %(edge_node_id)s and device_id = %(device_id)s and answered_at is null
returning command_id, customer_id, role_id, state, detail
