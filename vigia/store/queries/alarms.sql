-- name: alarm
select * from alarm where alarm_id = %(alarm_id)s

-- name: alarms_open_of_asset
select * from alarm where asset_id = %(asset_id)s and state <> 'normal' order by alarm_id

-- name: alarm_active_conditions
-- Conditions that hold now, whatever hides the alarm.
select asset_id, condition from alarm where state <> 'normal' and cleared_at is null and condition like %(prefix)s || '%%'

-- name: alarms_shelving_over
select * from alarm where state = 'shelved' and shelved_until <= %(now)s order by alarm_id

-- name: alarm_raise
-- One open alarm per asset and condition: alarm_open_key absorbs the second.
insert into alarm (customer_id, role_id, asset_id, condition, failure_case_id, state, priority, raised_at, reason)
values (%(customer_id)s, %(role_id)s, %(asset_id)s, %(condition)s, %(failure_case_id)s, 'unacknowledged', %(priority)s, %(at)s, %(reason)s)
on conflict (asset_id, condition) where state <> 'normal' do nothing
returning *

-- name: alarm_save
-- The first time of an acknowledgement, a confirmation and a clearing stays; a new occurrence takes them back.
update alarm set
    state = %(state)s,
    acknowledged_at = case when %(acknowledged)s then coalesce(acknowledged_at, %(at)s) end,
    acknowledged_by = case when %(acknowledged)s then coalesce(acknowledged_by, case when acknowledged_at is null then %(account_id)s::int end) end,
    confirmed_at = case when %(confirmed)s then coalesce(confirmed_at, %(at)s) end,
    confirmed_by = case when %(confirmed)s then coalesce(confirmed_by, case when confirmed_at is null then %(account_id)s::int end) end,
    cleared_at = case when not %(active)s then coalesce(cleared_at, %(at)s) end,
    shelved_until = %(shelved_until)s,
    shelved_once = %(one_shot)s
where alarm_id = %(alarm_id)s

-- name: alarm_describe
update alarm set priority = %(priority)s, reason = %(reason)s, failure_case_id = coalesce(%(failure_case_id)s, failure_case_id)
where alarm_id = %(alarm_id)s

-- name: alarm_log
insert into alarm_event (customer_id, alarm_id, at, state, account_id)
values (%(customer_id)s, %(alarm_id)s, %(at)s, %(state)s, %(account_id)s)

-- name: alarm_events
select at, state, account_id from alarm_event where alarm_id = %(alarm_id)s order by alarm_event_id

-- name: alarms_of_sensors
-- By drifts and fast changes; the alarm of the condition itself, while it is open, does not count.
select exists (select from alarm
               where asset_id = %(asset_id)s and condition ~ '^(drift|rate):' and raised_at > %(since)s and raised_at <= %(until)s
                 and (condition <> %(condition)s or cleared_at is not null))
