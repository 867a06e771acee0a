-- What is healthy of a machine's channels together.

-- name: baselines_wanted
-- Machines that stand in a role and have told something for `span` since they were installed or their last case was closed, of which nothing is
-- learned yet. Not those in which something is wrong: a case is open, or an alarm is. What went wrong and is over is not learned from: the time
-- begins anew with its end, but for a sensor's fault, whose readings alone are left out. That one sensor strayed, and somebody has acknowledged it
-- without a case, is not wrong.
select i.asset_id, e.since, newest.at as newest_at
from installation i
cross join lateral (select greatest(i.installed_at, max(c.closed_at)) as since from failure_case c where c.asset_id = i.asset_id) as life
cross join lateral (select greatest(life.since, max(a.cleared_at)) as since from alarm a
                    where a.asset_id = i.asset_id and a.raised_at >= life.since and a.condition !~ '^sensor:'
                      and (a.acknowledged_at is null or a.failure_case_id is not null or a.condition !~ '^(drift|rate):')) as e
join lateral (select max(l.ts) as at from point p join point_latest l using (point_id) where p.asset_id = i.asset_id) as newest
    on newest.at >= e.since + %(span)s::interval
where i.removed_at is null
  and not exists (select from baseline b where b.asset_id = i.asset_id and b.since >= life.since)
  and not exists (select from failure_case c where c.asset_id = i.asset_id and c.closed_at is null)
  and not exists (select from alarm a where a.asset_id = i.asset_id and a.cleared_at is null
                  and (a.acknowledged_at is null or a.failure_case_id is not null or a.condition !~ '^(drift|rate):'))
order by i.asset_id

-- name: baseline_hours
-- How many readings a measurement has in each hour after `since`, of the machine's measurement that has most; the first `at_most` hours.
select h.bucket as at, max(h.count) as readings
from point p join rollup_1h h using (point_id)
where p.asset_id = %(asset_id)s and p.kind = 'measurement' and h.bucket >= %(since)s and h.count > 0
group by h.bucket
order by h.bucket
limit %(at_most)s

-- name: baseline_keep
insert into baseline (asset_id, since, until, point_ids, body)
values (%(asset_id)s, %(since)s, %(until)s, %(point_ids)s, %(body)s)
on conflict (asset_id) do update
    set since = excluded.since, until = excluded.until, point_ids = excluded.point_ids, body = excluded.body, learned_at = clock_timestamp()

-- name: baselines_valid
-- Those of machines that stand in a role and have had no case closed since.
select b.asset_id, b.learned_at
from baseline b join installation i using (asset_id)
where i.removed_at is null and b.since >= i.installed_at
  and not exists (select from failure_case c where c.asset_id = b.asset_id and c.closed_at > b.since)

-- name: baselines_alarmed
-- The machines whose channels parted since their baseline begins, and have not come back.
select distinct b.asset_id
from baseline b join finding f using (asset_id)
where b.asset_id = any(%(asset_ids)s) and f.detector = 'together' and f.over_at is null and f.at > b.since

-- name: baselines_of
select asset_id, learned_at, point_ids, body from baseline where asset_id = any(%(asset_ids)s)

-- name: baseline_of_finding
-- The baseline by which the finding's sensor was watched together with others then.
select b.asset_id, b.learned_at, b.point_ids, b.body
from finding f join baseline b using (asset_id) join installation i using (asset_id)
where f.finding_id = %(finding_id)s and f.point_id = any(b.point_ids) and b.until < f.at
  and i.removed_at is null and b.since >= i.installed_at
  and not exists (select from failure_case c where c.asset_id = b.asset_id and c.closed_at > b.since)
