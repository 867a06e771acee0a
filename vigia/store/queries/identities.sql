-- Who may come in: tokens to enrol with, and the gateways' certificates.

-- name: add_edge_token
insert into edge_token (customer_id, edge_node_id, token_sha256, created_at, created_by, expires_at)
values (%(customer_id)s, %(edge_node_id)s, %(token_sha256)s, %(now)s, %(account_id)s, %(expires_at)s)

-- name: edge_token
-- Locked: one token admits once, however many ask at the same time.
select t.edge_token_id, t.customer_id, t.edge_node_id, n.group_id, n.node_id, t.expires_at, t.used_at
from edge_token t join edge_node n using (edge_node_id)
where t.token_sha256 = %(token_sha256)s
for update of t

-- name: use_edge_token
update edge_token set used_at = %(now)s where edge_token_id = %(edge_token_id)s

-- name: void_edge_tokens
update edge_token set used_at = %(now)s where edge_node_id = %(edge_node_id)s and used_at is null

-- name: request_edge_certificate
-- Nothing comes of it when the key, the token or the certificate before has one already.
insert into edge_certificate (customer_id, edge_node_id, edge_token_id, renews, key_sha256, request, requested_at)
values (%(customer_id)s, %(edge_node_id)s, %(edge_token_id)s, %(renews)s, %(key_sha256)s, %(request)s, %(now)s)
on conflict do nothing
returning edge_certificate_id

-- name: edge_certificate_of_key
select c.edge_certificate_id, c.customer_id, c.edge_node_id, n.group_id, n.node_id, c.edge_token_id, c.renews, c.request, c.serial_number, c.chain,
       c.valid_from, c.valid_until, c.revoked_at
from edge_certificate c join edge_node n using (edge_node_id)
where c.key_sha256 = %(key_sha256)s

-- name: edge_certificate_of_serial
-- Locked, so that it cannot be revoked while it vouches for something.
select c.edge_certificate_id, c.customer_id, c.edge_node_id, n.group_id, n.node_id, c.edge_token_id, c.renews, c.request, c.serial_number, c.chain,
       c.valid_from, c.valid_until, c.revoked_at
from edge_certificate c join edge_node n using (edge_node_id)
where c.serial_number = %(serial_number)s
for share of c

-- name: unsigned_edge_certificates
select c.edge_certificate_id, c.customer_id, c.edge_node_id, n.group_id, n.node_id, c.edge_token_id, c.renews, c.request, c.serial_number, c.chain,
       c.valid_from, c.valid_until, c.revoked_at
from edge_certificate c join edge_node n using (edge_node_id)
where c.serial_number is null and c.revoked_at is null
order by c.edge_certificate_id
for update of c skip locked

-- name: sign_edge_certificate
update edge_certificate
set serial_number = %(serial_number)s, chain = %(chain)s, valid_from = %(valid_from)s, valid_until = %(valid_until)s
where edge_certificate_id = %(edge_certificate_id)s

-- name: revoke_edge_certificates
update edge_certificate set revoked_at = %(now)s, revoked_because = %(because)s
where edge_node_id = %(edge_node_id)s and revoked_at is null and (valid_until is null or valid_until > %(now)s)

-- name: edge_identities_in_force
-- With those whose request waits: the broker must know what they may do before they come.
select distinct n.group_id, n.node_id
from edge_certificate c join edge_node n using (edge_node_id)
where c.revoked_at is null and coalesce(c.valid_until > %(now)s, true)
order by n.group_id, n.node_id

-- name: revoked_edge_certificates
-- What has ended by itself need not be refused by name; a day more for clocks that are behind.
select serial_number, revoked_at
from edge_certificate
where serial_number is not null and revoked_at is not null and valid_until > %(now)s::timestamptz - interval '1 day'
order by edge_certificate_id

-- name: edge_certificates_to_shut_out
select c.edge_certificate_id, c.customer_id, c.edge_node_id, n.group_id, n.node_id, c.edge_token_id, c.renews, c.request, c.serial_number, c.chain,
       c.valid_from, c.valid_until, c.revoked_at
from edge_certificate c join edge_node n using (edge_node_id)
where c.serial_number is not null and c.revoked_at is not null and c.shut_out_at is null
order by c.edge_certificate_id

-- name: edge_certificates_shut_out
update edge_certificate set shut_out_at = %(now)s where edge_certificate_id = any(%(edge_certificate_ids)s)

-- name: ending_edge_certificates
-- Of each gateway that may come in, its newest certificate, if that ends soon.
select edge_certificate_id, customer_id, edge_node_id, group_id, node_id, valid_until, warned_days
from (select distinct on (c.edge_node_id) c.edge_certificate_id, c.customer_id, c.edge_node_id, n.group_id, n.node_id, c.valid_until, c.warned_days
      from edge_certificate c join edge_node n using (edge_node_id)
      where c.serial_number is not null and c.revoked_at is null
      order by c.edge_node_id, c.valid_until desc) as newest
where valid_until between %(now)s and %(until)s
order by valid_until

-- name: warned_of_edge_certificate
update edge_certificate set warned_days = %(days)s where edge_certificate_id = %(edge_certificate_id)s
