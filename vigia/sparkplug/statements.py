"""What a gateway and its server sign for each other, beside MQTT: bytes that both must build alike, and that mean one thing only."""


def check_in(statement: str) -> bytes:
    """A gateway's word about itself (JSON), signed with the key of its certificate."""
    return b"vigia check-in\n" + statement.encode("utf-8", "replace")


def configuration(group_id: str, node_id: str, version: int, toml: str) -> bytes:
    """A version of this gateway's configuration, signed with the authority's key."""
    return f"vigia configuration\n{group_id}:{node_id}\n{version}\n{toml}".encode("utf-8", "replace")
