-- Log-ins of people and programs. Only the SHA-256 of a token is stored: the table opens no session.

-- name: open_session
insert into login_session (token_sha256, account_id, created_at, expires_at, csrf_token)
values (%(token_sha256)s, %(account_id)s, %(now)s, %(expires_at)s, %(csrf_token)s);

-- name: session_by_token
-- An expired session and a disabled account are no session.
select s.token_sha256, s.csrf_token, s.created_at, s.expires_at,
       a.account_id, a.customer_id, a.kind, a.login, a.name, a.language, a.preferences
from login_session s join account a using (account_id)
where s.token_sha256 = %(token_sha256)s and s.expires_at > %(now)s and a.disabled_at is null;

-- name: renew_session
update login_session set expires_at = %(expires_at)s where token_sha256 = %(token_sha256)s;

-- name: close_session
delete from login_session where token_sha256 = %(token_sha256)s;

-- name: close_sessions_of_account
delete from login_session where account_id = %(account_id)s;

-- name: delete_expired_sessions
delete from login_session where expires_at <= %(now)s;
