-- name: gateways
-- Each as it last said, beside what is wanted of it.
select n.group_id, n.node_id, n.online, n.agent_version, n.configuration_sha256, n.configuration_version, n.clock_skew_ms, n.checked_in_at,
       (select max(version) from edge_configuration c where c.edge_node_id = n.edge_node_id and c.state in ('released', 'applied'))
           as configuration_wanted,
       (select max(valid_until) from edge_certificate c where c.edge_node_id = n.edge_node_id and c.revoked_at is null) as certificate_until
from edge_node n
order by n.group_id, n.node_id
