-- name: table_sizes
-- Bytes of each table with its indexes and partitions, largest first.
select root.relname as name, sum(pg_total_relation_size(part.oid))::bigint as bytes
from pg_class as part
join pg_class as root on root.oid = coalesce(pg_partition_root(part.oid), part.oid)
where root.relnamespace in (to_regnamespace('vigia'), to_regnamespace('jobs')) and part.relkind in ('r', 'p') and root.relkind in ('r', 'p')
group by root.relname
order by bytes desc, name

-- name: hypertable_size
-- Bytes of the hypertable telemetry with its chunks, compressed ones too. TimescaleDB only.
select hypertable_size('vigia.telemetry')
