-- Configurations of gateways, and how they are rolled out.

-- name: begin_rollout
insert into rollout (reason, canary_share, created_at, created_by)
values (%(reason)s, %(canary_share)s, %(now)s, %(account_id)s)
returning rollout_id

-- name: lock_edge_node
-- One at a time adds versions of a gateway's configuration.
select edge_node_id from edge_node where edge_node_id = %(edge_node_id)s for no key update

-- name: open_rollout_of_edge
-- A roll-out with a part of this gateway that has not ended.
select r.rollout_id
from rollout r join edge_configuration c using (rollout_id)
where c.edge_node_id = %(edge_node_id)s and r.ended_at is null
limit 1

-- name: add_edge_configuration
insert into edge_configuration (customer_id, edge_node_id, version, rollout_id, canary, toml, sha256, changed_at)
select %(customer_id)s, %(edge_node_id)s, coalesce(max(version), 0) + 1, %(rollout_id)s, %(canary)s, %(toml)s, %(sha256)s, %(now)s
from edge_configuration where edge_node_id = %(edge_node_id)s

-- name: unsigned_edge_configurations
select c.edge_configuration_id, n.group_id, n.node_id, c.version, c.toml
from edge_configuration c join edge_node n using (edge_node_id)
where c.signature is null
order by c.edge_configuration_id
for update of c skip locked

-- name: sign_edge_configuration
update edge_configuration set signature = %(signature)s where edge_configuration_id = %(edge_configuration_id)s

-- name: lock_rollout
select rollout_id, stage, canary_share from rollout where rollout_id = %(rollout_id)s for update

-- name: rollout_parts
select edge_configuration_id, customer_id, edge_node_id, rollout_id, version, canary, state
from edge_configuration where rollout_id = %(rollout_id)s
order by edge_configuration_id

-- name: release_rollout
update edge_configuration set state = 'released', changed_at = %(now)s
where rollout_id = %(rollout_id)s and state = 'waiting' and (canary or %(rest)s)

-- name: withdraw_rollout
update edge_configuration set state = 'withdrawn', changed_at = %(now)s
where rollout_id = %(rollout_id)s and state in ('waiting', 'released')

-- name: set_rollout_stage
update rollout set stage = %(stage)s, ended_at = case when %(stage)s in ('done', 'halted') then %(now)s::timestamptz end
where rollout_id = %(rollout_id)s

-- name: offered_edge_configuration
-- What a gateway is to run: its newest version that may be fetched or ran well.
select c.edge_configuration_id, n.group_id, n.node_id, c.version, c.toml, c.signature
from edge_configuration c join edge_node n using (edge_node_id)
where c.edge_node_id = %(edge_node_id)s and c.state in ('released', 'applied') and c.signature is not null
order by c.version desc
limit 1

-- name: edge_configuration_of_version
select edge_configuration_id, customer_id, edge_node_id, rollout_id, version, canary, state
from edge_configuration where edge_node_id = %(edge_node_id)s and version = %(version)s

-- name: set_edge_configuration_state
update edge_configuration set state = %(state)s, detail = %(detail)s, changed_at = %(now)s
where edge_configuration_id = %(edge_configuration_id)s

-- name: edge_checked_in
update edge_node set checked_in_at = %(now)s, configuration_version = %(version)s, clock_skew_ms = %(clock_skew_ms)s
where edge_node_id = %(edge_node_id)s
