-- Telemetry on TimescaleDB: a hypertable with the columnstore. Read beside profile_plain.sql: same names.
--
-- Rows come in batches over all points, so an open day is ordered by point, not segmented: segments would hold one row each. A closed day
-- is packed: segmented by point, ordered by time. The two differ a chunk, so the hypertable itself must not say: see telemetry_order.
-- No unique key and no foreign key: both switch direct compression of COPY off. The ledger makes readings unique.

create schema telemetry_day;                          -- where the chunks lie: what upkeep does to one takes the right to create
grant usage, create on schema telemetry_day, vigia to vigia_service;
set local role vigia_service;

create table telemetry (
    point_id int not null,
    ts       timestamptz not null,
    value    float8,                                  -- null: the machine said that it does not know
    quality  smallint not null                        -- as Sparkplug: 192 good, 64 uncertain, 500 stale, 0 bad
) with (
    tsdb.hypertable, tsdb.partition_column = 'ts', tsdb.chunk_interval = '1 day', tsdb.create_default_indexes = false,
    tsdb.associated_schema = 'telemetry_day', tsdb.segmentby = '', tsdb.orderby = 'point_id, ts'
);
-- Settings of the hypertable would go before the functions below, and to change them for a moment locks out every writer.
alter table telemetry reset (tsdb.segmentby, tsdb.orderby);
-- vigia.store.upkeep does it, by the data's clock and without keeping ingest waiting.
call remove_columnstore_policy('telemetry');
create index telemetry_point_ts_idx on telemetry (point_id, ts);
grant select on telemetry to vigia_owner, vigia_reporter;

-- Chunks come by themselves.
create function ensure_telemetry_room(from_ts timestamptz, to_ts timestamptz) returns void language sql immutable as
$$ select null::void $$;

-- TimescaleDB asks these two for the settings of a chunk whose columnstore it makes, where the transaction names them.
create function telemetry_order(hypertable regclass, segment_by text[]) returns jsonb language sql immutable as
$$ select jsonb_build_object('clauses', case when 'point_id' = any(segment_by) then array['ts'] else array['point_id', 'ts'] end, 'confidence', 10) $$;

create function telemetry_segment(hypertable regclass) returns jsonb language sql immutable as
$$ select jsonb_build_object('columns', array['point_id'], 'confidence', 10) $$;

-- The next COPY of this transaction brings `rows` rows sorted by point_id, ts. Many go to the columnstore at once; few become ordinary rows,
-- because a batch of few rows spans all points, and the newest readings of one point would be looked for in every such batch of the day.
-- "Client sorted" would be faster by a hair and wrong: it promises that commits do not overlap, and readers would get rows out of order.
create function prepare_telemetry_copy(rows bigint) returns void language plpgsql as
$$
begin
    if rows < 5000 then
        perform set_config('timescaledb.enable_direct_compress_copy', 'off', true);
        return;
    end if;
    perform set_config('timescaledb.enable_direct_compress_copy', 'on', true),
            set_config('timescaledb.enable_direct_compress_copy_sort_batches', 'off', true),
            set_config('timescaledb.compression_segmentby_default_function', '', true),
            set_config('timescaledb.compression_orderby_default_function', 'vigia.telemetry_order', true);
end $$;

-- The pieces of telemetry, a day each. state: 'rows' (none compressed), 'partial' (some), 'unordered' (all, in overlapping batches),
-- 'packed' (all, one point a batch). row_count is exact for compressed rows and an estimate for the others.
create function telemetry_pieces()
returns table (name text, from_ts timestamptz, until_ts timestamptz, state text, row_count bigint, bytes bigint) language plpgsql stable as
$$
declare
    chunk record;
begin
    for chunk in
        select c.relid, k.compress_relid, c.status, s.range_start, s.range_end, coalesce(k.segmentby = '{point_id}', false) as segmented
        from _timescaledb_catalog.chunk c
        join _timescaledb_catalog.hypertable h on h.id = c.hypertable_id and h.schema_name = 'vigia' and h.table_name = 'telemetry'
        join _timescaledb_catalog.dimension_slice s on s.chunk_id = c.id
        left join _timescaledb_catalog.compression_settings k on k.relid = c.relid
        order by s.range_start
    loop
        name := chunk.relid::text;
        from_ts := _timescaledb_functions.to_timestamp(chunk.range_start);
        until_ts := _timescaledb_functions.to_timestamp(chunk.range_end);
        row_count := pg_relation_size(chunk.relid) / 8192 * 136;          -- a page full of rows; packing empties it
        bytes := pg_total_relation_size(chunk.relid);
        state := 'rows';
        if chunk.compress_relid is not null then
            execute format('select %s + coalesce(sum(_ts_meta_count), 0) from %s', row_count, chunk.compress_relid) into row_count;
            bytes := bytes + pg_total_relation_size(chunk.compress_relid);
            state := case when chunk.status & 8 <> 0 then 'partial' when chunk.status & 2 <> 0 or not chunk.segmented then 'unordered'
                          else 'packed' end;
        end if;
        return next;
    end loop;
end $$;

-- Whether closed pieces can be packed.
create function telemetry_packable() returns boolean language sql immutable as $$ select true $$;

-- A transaction before pack_telemetry, whose work is less than half of it then: unpacked rows would enter the index one by one, all over it.
-- Nobody misses the index, as there are few rows outside the columnstore; pack_telemetry makes it again.
create function prepare_telemetry_pack(piece text) returns void language plpgsql as
$$
declare
    index regclass;
begin
    perform pg_advisory_xact_lock(hashtext('vigia'), hashtext('telemetry upkeep'));
    for index in
        select i.indexrelid
        from pg_index i join _timescaledb_catalog.compression_settings k on k.relid = i.indrelid
        where k.relid = piece::regclass and k.compress_relid is not null and k.segmentby is distinct from '{point_id}'
          and pg_relation_size(k.relid) < 16 * 1024 * 1024
    loop
        execute format('drop index %s', index);
    end loop;
end $$;

-- Compress the piece anew, a point a batch, so that one point's readings of the day lie together. Writers and at its end readers of this
-- piece wait; rows that come later are taken in by the next call, at the cost of the points they belong to. At worst, as now, all its rows
-- lie uncompressed on the disk for as long as it takes.
create function pack_telemetry(piece text) returns void language plpgsql as
$$
declare
    segmented boolean;
    complete  boolean;
begin
    perform pg_advisory_xact_lock(hashtext('vigia'), hashtext('telemetry upkeep'));
    perform set_config('timescaledb.compression_segmentby_default_function', 'vigia.telemetry_segment', true),
            set_config('timescaledb.compression_orderby_default_function', 'vigia.telemetry_order', true);
    select coalesce(k.segmentby = '{point_id}', false), c.status & (2 | 8) = 0 into segmented, complete
    from _timescaledb_catalog.compression_settings k join _timescaledb_catalog.chunk c using (relid)
    where relid = piece::regclass and compress_relid is not null;
    if segmented and complete then
        return;                                   -- somebody else was faster
    elsif segmented then
        perform compress_chunk(piece::regclass, recompress => true);
        return;
    end if;
    if found then
        perform decompress_chunk(piece::regclass);
    end if;
    perform compress_chunk(piece::regclass);
    if not exists (select from pg_index where indrelid = piece::regclass) then
        execute format('create index on %s (point_id, ts)', piece);
    end if;
end $$;

-- Drop the pieces that end at or before `before`; their names.
create function drop_telemetry(before timestamptz) returns setof text language sql as
$$ select drop_chunks('vigia.telemetry', older_than => before) $$;

reset role;
set local role vigia_owner;
revoke create on schema vigia from vigia_service;
