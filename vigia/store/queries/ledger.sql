-- What of each edge's numbered batches is committed or explained.

-- name: lock_edges
-- Writers of one edge take turns, in the order of ids so that they never wait in a circle.
select edge_node_id from edge_node where edge_node_id = any(%(edge_node_ids)s) order by edge_node_id for no key update

-- name: accounted_batches
-- Which of these batch numbers are committed or explained already: their position in the arrays, from 1.
select b.position::int
from unnest(%(edge_node_id)s, %(epoch)s, %(eseq)s) with ordinality as b (edge_node_id, epoch, eseq, position)
where exists (
    select from ledger l
    where int4range(l.edge_node_id, l.edge_node_id, '[]') && int4range(b.edge_node_id, b.edge_node_id, '[]')
      and int8range(l.epoch, l.epoch, '[]') && int8range(b.epoch, b.epoch, '[]')
      and l.eseqs && int8range(b.eseq, b.eseq, '[]'))
   or exists (
    select from tombstone t
    where t.edge_node_id = b.edge_node_id and t.epoch = b.epoch and t.eseqs @> b.eseq)

-- name: record_ranges
-- New ranges; one that follows a stored range is added to it, so that an edge without holes keeps one row.
with fresh as (
    select *
    from unnest(%(edge_node_id)s, %(epoch)s, %(first)s, %(last)s, %(rows)s) with ordinality as f (edge_node_id, epoch, first, last, rows, position)
), extended as (
    update ledger l
    set eseqs = l.eseqs + int8range(f.first, f.last, '[]'), rows = l.rows + f.rows, committed_at = now()
    from fresh f
    where int4range(l.edge_node_id, l.edge_node_id, '[]') && int4range(f.edge_node_id, f.edge_node_id, '[]')
      and int8range(l.epoch, l.epoch, '[]') && int8range(f.epoch, f.epoch, '[]')
      and l.eseqs && int8range(f.first - 1, f.first)
    returning f.position
)
insert into ledger (edge_node_id, epoch, eseqs, rows)
select f.edge_node_id, f.epoch, int8range(f.first, f.last, '[]'), f.rows
from fresh f
where f.position not in (select position from extended)

-- name: watermarks
-- Up to which number everything of an edge's epoch is committed or explained.
select e.edge_node_id, e.epoch,
       coalesce((select upper(piece) - 1
                 from unnest((select range_agg(accounted.eseqs)
                              from (select eseqs from ledger l where l.edge_node_id = e.edge_node_id and l.epoch = e.epoch
                                    union all
                                    select eseqs from tombstone t where t.edge_node_id = e.edge_node_id and t.epoch = e.epoch) as accounted)) as piece
                 where piece @> 1::bigint), 0) as eseq
from unnest(%(edge_node_id)s, %(epoch)s) as e (edge_node_id, epoch)

-- name: bury_range
insert into tombstone (edge_node_id, epoch, eseqs, reason)
values (%(edge_node_id)s, %(epoch)s, int8range(%(first)s, %(last)s, '[]'), %(reason)s)
on conflict do nothing

-- name: announce_newest
-- What an edge says is its newest batch. Another epoch starts the count again.
update edge_node
set epoch = %(epoch)s,
    newest_eseq = case when epoch = %(epoch)s then greatest(newest_eseq, %(newest)s) else %(newest)s end
where edge_node_id = %(edge_node_id)s

-- name: advance_edge
-- After readings of an edge: its own clock, and its newest batch where the epoch is the announced one.
update edge_node e
set last_reading_at = greatest(e.last_reading_at, a.last_reading_at),
    last_commit_at = now(),
    epoch = coalesce(e.epoch, a.epoch),
    newest_eseq = case when a.epoch is not null and coalesce(e.epoch, a.epoch) = a.epoch then greatest(e.newest_eseq, a.eseq) else e.newest_eseq end
from (values (%(edge_node_id)s::int, %(last_reading_at)s::timestamptz, %(epoch)s::bigint, %(eseq)s::bigint)) as a (edge_node_id, last_reading_at, epoch, eseq)
where e.edge_node_id = a.edge_node_id

-- name: edge_ledgers
-- Every edge with the newest number announced or seen, how many numbers are committed, how many explained by a tombstone alone, and its
-- holes, for each epoch.
with epochs as (
    select edge_node_id, epoch from ledger
    union select edge_node_id, epoch from tombstone
    union select edge_node_id, epoch from edge_node where epoch is not null
    union select edge_node_id, epoch from edge_epoch
), counted as (
    select e.edge_node_id, e.epoch,
           coalesce((select range_agg(l.eseqs) from ledger l where (l.edge_node_id, l.epoch) = (e.edge_node_id, e.epoch)), '{}') as committed,
           coalesce((select range_agg(t.eseqs) from tombstone t where (t.edge_node_id, t.epoch) = (e.edge_node_id, e.epoch)), '{}') as buried
    from epochs e
), totals as (
    select edge_node_id, epoch, committed, buried, committed + buried as accounted from counted
)
select n.edge_node_id, n.group_id, n.node_id, t.epoch,
       greatest(upper(t.accounted) - 1, case when n.epoch = t.epoch then n.newest_eseq end,
                (select e.newest_eseq from edge_epoch e where (e.edge_node_id, e.epoch) = (n.edge_node_id, t.epoch)), 0) as newest,
       coalesce((select sum(upper(r) - lower(r)) from unnest(t.committed) r), 0)::bigint as committed,
       coalesce((select sum(upper(r) - lower(r)) from unnest(t.buried - t.committed) r), 0)::bigint as buried,
       coalesce((select upper(r) - 1 from unnest(t.accounted) r where r @> 1::bigint), 0) as watermark,
       coalesce((select jsonb_agg(jsonb_build_array(lower(h.hole), upper(h.hole) - 1) order by h.hole)
                 from ledger_hole h where (h.edge_node_id, h.epoch) = (n.edge_node_id, t.epoch)), '[]') as holes,
       n.online, n.last_reading_at, n.last_commit_at
from edge_node n
left join totals t using (edge_node_id)
order by n.group_id, n.node_id, t.epoch
