-- Which of each edge's numbered batches are committed or explained.

-- name: lock_edges
-- Writers of one edge take turns, in the order of ids so that they never wait in a circle.
with locked as (
    select edge_node_id from edge_node where edge_node_id = any(%(edge_node_ids)s) order by edge_node_id for no key update
)
select count(*) from locked

-- name: known_ranges
-- The pieces of these ranges that are accounted for already.
select r.edge_node_id, r.epoch, lower(piece) as first, upper(piece) - 1 as last
from unnest(%(edge_node_id)s, %(epoch)s, %(first)s, %(last)s) as r (edge_node_id, epoch, first, last)
join ledger l using (edge_node_id, epoch),
     unnest(l.eseqs * int8multirange(int8range(r.first, r.last, '[]'))) as piece
where l.eseqs && int8range(r.first, r.last, '[]')
order by 1, 2, 3

-- name: enter_ranges
-- Accounts for new ranges and advances their edges; answers with the arrays of the epochs' watermarks. The caller has locked the edges. A
-- number that is accounted for already, or given twice, violates ledger_counted_once.
with entered as (
    insert into ledger as l (edge_node_id, epoch, eseqs, committed, rows)
    select edge_node_id, epoch, range_agg(int8range(first, last, '[]')), sum(last - first + 1), sum(rows)
    from unnest(%(edge_node_id)s, %(epoch)s, %(first)s, %(last)s, %(rows)s) as r (edge_node_id, epoch, first, last, rows)
    group by edge_node_id, epoch
    order by edge_node_id, epoch
    on conflict (edge_node_id, epoch) do update set
        eseqs = l.eseqs + excluded.eseqs, committed = l.committed + excluded.committed, rows = l.rows + excluded.rows, committed_at = now()
    returning edge_node_id, epoch,
              case when lower(eseqs) > 1 then 0
                   when upper(eseqs) - 1 = committed + buried then upper(eseqs) - 1
                   else (select upper(piece) - 1 from unnest(eseqs) as piece limit 1) end as eseq
), advanced as (
    update edge_node e
    set last_reading_at = greatest(e.last_reading_at, nullif(h.at, timestamptz 'epoch')), last_commit_at = now()
    from unnest(%(heard_edge_node_id)s, %(heard_at)s) as h (edge_node_id, at)
    where e.edge_node_id = h.edge_node_id
)
select array_send(array_agg(edge_node_id)), array_send(array_agg(epoch)), array_send(array_agg(eseq)) from entered

-- name: watermarks
-- Up to which number everything of an edge's epoch is accounted for.
select e.edge_node_id, e.epoch, coalesce((select upper(piece) - 1 from unnest(l.eseqs) as piece where piece @> 1::bigint), 0) as eseq
from unnest(%(edge_node_id)s, %(epoch)s) as e (edge_node_id, epoch)
left join ledger l using (edge_node_id, epoch)

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
    union select edge_node_id, epoch from edge_node where epoch is not null
    union select edge_node_id, epoch from edge_epoch
)
select n.edge_node_id, n.group_id, n.node_id, t.epoch,
       greatest(upper(l.eseqs) - 1, case when n.epoch = t.epoch then n.newest_eseq end,
                (select e.newest_eseq from edge_epoch e where (e.edge_node_id, e.epoch) = (n.edge_node_id, t.epoch)), 0) as newest,
       coalesce(l.committed, 0) as committed,
       coalesce(l.buried, 0) as buried,
       coalesce((select upper(piece) - 1 from unnest(l.eseqs) as piece where piece @> 1::bigint), 0) as watermark,
       coalesce((select jsonb_agg(jsonb_build_array(lower(h.hole), upper(h.hole) - 1) order by h.hole)
                 from ledger_hole h where (h.edge_node_id, h.epoch) = (n.edge_node_id, t.epoch)), '[]') as holes,
       n.online, n.last_reading_at, n.last_commit_at
from edge_node n
left join epochs t using (edge_node_id)
left join ledger l on (l.edge_node_id, l.epoch) = (n.edge_node_id, t.epoch)
order by n.group_id, n.node_id, t.epoch
