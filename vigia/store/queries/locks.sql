-- name: lock_role
select pg_advisory_xact_lock(hashtext('vigia.role'), %(role_id)s)

-- name: lock_dispatch
select pg_advisory_xact_lock(hashtext('vigia.dispatch'), 0)
