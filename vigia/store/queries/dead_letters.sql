-- Messages that could not be used, with their reason.

-- name: bury_letter
insert into dead_letter (topic, reason, detail, payload) values (%(topic)s, %(reason)s, %(detail)s, %(payload)s)

-- name: dead_letters
select dead_letter_id, received_at, topic, reason, detail, length(payload) as size, substr(payload, 1, %(shown)s) as payload
from dead_letter
order by dead_letter_id desc
limit %(limit)s

-- name: dead_letter_counts
select reason, count(*) as count, max(received_at) as newest from dead_letter group by reason order by count desc, reason
