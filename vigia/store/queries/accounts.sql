-- Accounts of people. Reading them needs a transaction for staff: a customer sees only the accounts of its own.

-- name: account_by_login
-- Logins are stored in lower case.
select account_id, customer_id, kind, login, name, password_hash, language, preferences, disabled_at
from account
where login = lower(%(login)s);

-- name: account_by_id
select account_id, customer_id, kind, login, name, password_hash, language, preferences, disabled_at
from account
where account_id = %(account_id)s;

-- name: accounts_of_kind
select account_id, customer_id, kind, login, name, password_hash, language, preferences, disabled_at
from account
where kind = %(kind)s and disabled_at is null
order by account_id;

-- name: add_account
-- A login that exists keeps its id and gets the new password, so that seeding twice is harmless.
insert into account (customer_id, kind, login, name, password_hash, language)
values (%(customer_id)s, %(kind)s, lower(%(login)s), %(name)s, %(password_hash)s, %(language)s)
on conflict (login) do update set password_hash = excluded.password_hash
returning account_id;

-- name: set_account_preferences
update account
set language = coalesce(%(language)s, language), preferences = preferences || %(preferences)s
where account_id = %(account_id)s;
