-- What the watch over ingest asks, again and again.

-- name: watched_holes
-- Runs of numbers that nothing explains, and how many numbers they are.
select count(*) as holes, coalesce(sum(upper(hole) - lower(hole)), 0)::bigint as batches from ledger_hole
