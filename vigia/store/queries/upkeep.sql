-- Upkeep of telemetry. A piece is a day of readings: a chunk or a partition. The profiles define the functions called here.

-- name: prepare_telemetry_copy
select prepare_telemetry_copy(%(rows)s)

-- name: telemetry_pieces
select name, from_ts, until_ts, state, row_count, bytes from telemetry_pieces()

-- name: telemetry_packable
select telemetry_packable()

-- name: telemetry_clock
-- The end of the newest day with readings; a machine whose clock runs ahead does not carry it past tomorrow.
select least(max(until_ts), date_trunc('day', now(), 'UTC') + interval '1 day') from telemetry_pieces()

-- name: upkeep_patience
-- Whoever comes after a statement that waits for a lock waits too: so it does not wait long.
select set_config('lock_timeout', %(patience_ms)s || 'ms', true)

-- name: prepare_telemetry_pack
select prepare_telemetry_pack(%(piece)s)

-- name: pack_telemetry
select pack_telemetry(%(piece)s)

-- name: drop_telemetry
select drop_telemetry(%(before)s) as name

-- name: rollup_point_ids
select point_id from point order by point_id

-- name: drop_telemetry_1m
delete from telemetry_1m where point_id = any(%(point_ids)s) and bucket < %(before)s

-- name: drop_telemetry_1h
delete from telemetry_1h where point_id = any(%(point_ids)s) and bucket < %(before)s

-- name: upkeep_last
select at, detail from audit_event where customer_id is null and action = 'telemetry_upkeep' order by at desc limit 1

-- name: upkeep_ran_within
select exists (select from audit_event where customer_id is null and action = 'telemetry_upkeep' and at > now() - %(span)s::interval)
