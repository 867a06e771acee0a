"""Names on certificates, the life of tokens, warnings before the end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigia.domain.errors import InvalidValueError, TokenRefusedError
from vigia.domain.identities import LONGEST_TOKEN_LIFE, WARNING_DAYS, admit, identity_of, token_ends, warning_due

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = st.text(st.sampled_from("ab.-_:/+# \n"), max_size=5)


def test_an_identity_names_group_and_node() -> None:
    assert identity_of("acme", "acme-bcn.2") == "acme:acme-bcn.2"


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a:b", "a/b", "a+", "#", "x\ntopic write #", "ñ", "$SYS"])
def test_names_that_an_access_list_could_misread_are_refused(name: str) -> None:
    for group_id, node_id in (("acme", name), (name, "madrid")):
        with pytest.raises(InvalidValueError, match="cannot stand on a certificate"):
            identity_of(group_id, node_id)


def test_an_identity_fits_a_common_name() -> None:
    assert len(identity_of("a" * 31, "b" * 32)) == 64
    with pytest.raises(InvalidValueError, match="64 characters"):
        identity_of("a" * 32, "b" * 32)


@given(NAMES, NAMES, NAMES, NAMES)
def test_two_nodes_never_share_an_identity(group: str, node: str, other_group: str, other_node: str) -> None:
    try:
        same = identity_of(group, node) == identity_of(other_group, other_node)
    except InvalidValueError:
        return
    assert same == ((group, node) == (other_group, other_node))


def test_a_token_lasts_as_long_as_was_said_within_bounds() -> None:
    assert token_ends(NOW, DAY) == NOW + DAY
    for life in (timedelta(), -DAY, LONGEST_TOKEN_LIFE + timedelta(seconds=1)):
        with pytest.raises(InvalidValueError):
            token_ends(NOW, life)


def test_a_token_is_used_once_and_before_its_end() -> None:
    admit(NOW + DAY, None, NOW)
    for expires_at, used_at in ((NOW, None), (NOW - DAY, None), (NOW + DAY, NOW - DAY)):
        with pytest.raises(TokenRefusedError):
            admit(expires_at, used_at, NOW)


def test_each_warning_is_told_once_as_the_end_comes_nearer() -> None:
    ends, warned, told = NOW + 40 * DAY, None, []
    for hour in range(45 * 24):
        due = warning_due(ends, NOW + timedelta(hours=hour), warned)
        if due is not None:
            told.append((due, (ends - NOW) - timedelta(hours=hour)))
            warned = due
    assert told == [(days, days * DAY) for days in WARNING_DAYS]


def test_who_comes_late_tells_the_nearest_only() -> None:
    assert warning_due(NOW + 5 * DAY, NOW, None) == 7
    assert warning_due(NOW - DAY, NOW, None) == 1
    assert warning_due(NOW + 5 * DAY, NOW, 7) is None
