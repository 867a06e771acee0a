-- Telemetry on TimescaleDB: a hypertable with the columnstore. Read beside profile_plain.sql: same names.
--
-- Rows come in batches over all points, so the columnstore is ordered by point, not segmented: segments would hold one row each.
-- No unique key and no foreign key: both switch direct compression of COPY off. The ledger makes readings unique.

grant usage, create on schema vigia to vigia_service;
set local role vigia_service;

create table telemetry (
    point_id int not null,
    ts       timestamptz not null,
    value    float8,                                  -- null: the machine said that it does not know
    quality  smallint not null                        -- as Sparkplug: 192 good, 64 uncertain, 500 stale, 0 bad
) with (
    tsdb.hypertable, tsdb.partition_column = 'ts', tsdb.chunk_interval = '1 day', tsdb.create_default_indexes = false,
    tsdb.segmentby = '', tsdb.orderby = 'point_id, ts'
);
create index telemetry_point_ts_idx on telemetry (point_id, ts);
grant select on telemetry to vigia_owner, vigia_reporter;

-- Chunks come by themselves.
create function ensure_telemetry_room(from_ts timestamptz, to_ts timestamptz) returns void language sql immutable as
$$ select null::void $$;

reset role;
set local role vigia_owner;
revoke create on schema vigia from vigia_service;
