-- Telemetry on PostgreSQL alone: one partition a day, made before the rows come. Read beside profile_timescale.sql: same names.
--
-- The service role owns telemetry, because only an owner may add partitions. They live in a schema that the app may not even enter.

create schema telemetry_day;
grant usage, create on schema telemetry_day, vigia to vigia_service;
set local role vigia_service;

create table telemetry (
    point_id int not null,
    ts       timestamptz not null,
    value    float8,                                  -- null: the machine said that it does not know
    quality  smallint not null                        -- as Sparkplug: 192 good, 64 uncertain, 500 stale, 0 bad
) partition by range (ts);
create index telemetry_point_ts_idx on telemetry (point_id, ts);
grant select on telemetry to vigia_owner, vigia_reporter;

-- Readings from `from_ts` to `to_ts`, both included, have a place until the transaction ends and, once it commits, for good. Call it first
-- in a transaction, with the oldest and newest reading of the batch. Only writers that meet on a new day wait for each other: a partition
-- that is made apart and attached disturbs neither readers nor other writers.
create function ensure_telemetry_room(from_ts timestamptz, to_ts timestamptz) returns void language plpgsql as
$$
declare
    first_day date := (from_ts at time zone 'UTC')::date;
    last_day  date := (to_ts at time zone 'UTC')::date;
    day       date;
    name      text;
begin
    if last_day - first_day > 400 then
        raise exception 'readings from % to % are more than 400 days apart', from_ts, to_ts
            using errcode = 'numeric_value_out_of_range', hint = 'a clock is wrong: keep such readings out of the batch';
    end if;
    for offset_days in 0 .. last_day - first_day loop
        day := first_day + offset_days;
        name := 'd' || to_char(day, 'YYYYMMDD');
        continue when to_regclass('telemetry_day.' || name) is not null;
        perform pg_advisory_xact_lock(hashtext('vigia'), hashtext('telemetry room'));
        -- Read the table itself: what to_regclass remembers of a moment ago is not refreshed by an advisory lock.
        continue when exists (select from pg_class where relnamespace = 'telemetry_day'::regnamespace and relname = name);
        execute format('create table telemetry_day.%I (like vigia.telemetry including all)', name);
        execute format('alter table vigia.telemetry attach partition telemetry_day.%I for values from (%L) to (%L)',
                       name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    end loop;
end $$;

-- The next COPY of this transaction brings `rows` rows sorted by point_id, ts. Nothing depends on it here.
create function prepare_telemetry_copy(rows bigint) returns void language sql immutable as $$ select null::void $$;

-- The pieces of telemetry, a day each; state is 'rows': nothing is compressed here. row_count is an estimate.
create function telemetry_pieces()
returns table (name text, from_ts timestamptz, until_ts timestamptz, state text, row_count bigint, bytes bigint) language sql stable as
$$
select c.oid::regclass::text, d.day at time zone 'UTC', (d.day + interval '1 day') at time zone 'UTC', 'rows',
       pg_relation_size(c.oid) / 8192 * 136,              -- a page full of rows
       pg_total_relation_size(c.oid)
from pg_inherits i join pg_class c on c.oid = i.inhrelid, lateral (select to_date(substr(c.relname, 2), 'YYYYMMDD')::timestamp as day) d
where i.inhparent = 'vigia.telemetry'::regclass
order by d.day
$$;

-- Whether closed pieces can be packed: a piece is left as it is here.
create function telemetry_packable() returns boolean language sql immutable as $$ select false $$;
create function prepare_telemetry_pack(piece text) returns void language sql immutable as $$ select null::void $$;
create function pack_telemetry(piece text) returns void language sql immutable as $$ select null::void $$;

-- Drop the pieces that end at or before `before`; their names. Writers and readers of telemetry wait for that moment.
create function drop_telemetry(before timestamptz) returns setof text language plpgsql as
$$
declare
    piece text;
begin
    for piece in select name from vigia.telemetry_pieces() where until_ts <= before loop
        execute format('drop table %s', piece);
        return next piece;
    end loop;
end $$;

reset role;
set local role vigia_owner;
revoke create on schema vigia from vigia_service;
