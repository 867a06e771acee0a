-- Messages that could not be used, with their reason.

-- name: bury_letters
insert into dead_letter (topic, reason, detail, payload, size)
select * from unnest(%(topic)s::text[], %(reason)s::text[], %(detail)s::text[], %(payload)s::bytea[], %(size)s::int[])

-- name: dead_letters
select dead_letter_id, received_at, topic, reason, detail, size, length(payload) = size as complete,
       substr(payload, 1, %(shown)s) as payload
from dead_letter
where %(reason)s::text is null or reason = %(reason)s
order by dead_letter_id desc
limit %(limit)s

-- name: dead_letter_counts
select reason, count(*) as count, max(received_at) as newest
from dead_letter
where %(reason)s::text is null or reason = %(reason)s
group by reason
order by count desc, reason

-- name: dead_letter_samples
-- The newest letter of each reason.
select distinct on (reason)
       dead_letter_id, received_at, topic, reason, detail, size, length(payload) = size as complete,
       substr(payload, 1, %(shown)s) as payload
from dead_letter
where %(reason)s::text is null or reason = %(reason)s
order by reason, dead_letter_id desc

-- name: dead_letter_ids
-- Letters of a reason, or those of the ids given, oldest first.
select dead_letter_id
from dead_letter
where (%(reason)s::text is null or reason = %(reason)s) and (%(ids)s::bigint[] is null or dead_letter_id = any(%(ids)s))
order by dead_letter_id

-- name: take_dead_letter
-- Whoever takes a letter second finds none: the row is gone when the first one's transaction has committed.
delete from dead_letter
where dead_letter_id = %(dead_letter_id)s
returning dead_letter_id, received_at, topic, reason, detail, size, length(payload) = size as complete, payload

-- name: trim_dead_letters
-- The oldest go first. A letter weighs its payload and about as much as a row does.
delete from dead_letter
where received_at < now() - %(keep)s::interval
   or dead_letter_id <= (
          select max(dead_letter_id)
          from (select dead_letter_id, sum(length(payload) + 500) over (order by dead_letter_id desc) as so_far from dead_letter) as weighed
          where so_far > %(most_bytes)s
      )
