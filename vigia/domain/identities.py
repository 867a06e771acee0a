"""Who a gateway is: the name on its certificate, how long that is believed, and when someone must be warned."""

import re
from datetime import datetime, timedelta

from vigia.domain.errors import InvalidValueError, TokenRefusedError, TransitionRefusedError

TOKEN_LIFE = timedelta(hours=24)
LONGEST_TOKEN_LIFE = timedelta(days=30)
CERTIFICATE_LIFE = timedelta(days=100)
WARNING_DAYS = (30, 14, 7, 1)
"""A certificate that ends within so many days is told of, once for each. A gateway renews its own when a third of its life is left, which
is before the first."""

LONGEST_IDENTITY = 64  # what a certificate's common name may hold
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


def identity_of(group_id: str, node_id: str) -> str:
    """`group:node`, the common name of the gateway's certificate and its user name at the broker.

    Raises InvalidValueError for names that the broker's access list could misread.
    """
    for name in (group_id, node_id):
        if not _NAME.fullmatch(name):
            raise InvalidValueError(
                f"{name!r} cannot stand on a certificate: use letters, digits, dot, hyphen and underscore, not starting with a dot."
            )
    identity = f"{group_id}:{node_id}"
    if len(identity) > LONGEST_IDENTITY:
        raise InvalidValueError(f"{identity} is longer than the {LONGEST_IDENTITY} characters a certificate's name may have.")
    return identity


def token_ends(now: datetime, life: timedelta) -> datetime:
    """When a token made now ends. Raises InvalidValueError for a life that is none, or too long for a secret on paper."""
    if not timedelta() < life <= LONGEST_TOKEN_LIFE:
        raise InvalidValueError(f"A token may last up to {LONGEST_TOKEN_LIFE.days} days.")
    return now + life


def admit(expires_at: datetime, used_at: datetime | None, now: datetime) -> None:
    """Let a token be used. Raises TokenRefusedError when it was used or has expired."""
    if used_at is not None or now >= expires_at:
        raise TokenRefusedError


def check_renewal(valid_from: datetime, valid_until: datetime, now: datetime) -> None:
    """Let a certificate be renewed. Raises TransitionRefusedError while more than half of its life is left: nobody needs so many."""
    if valid_until - now > (valid_until - valid_from) / 2:
        raise TransitionRefusedError("The certificate has more than half of its life left; renew it later.")


def warning_due(valid_until: datetime, now: datetime, warned: int | None) -> int | None:
    """Within how many days the certificate ends, if nobody was told of that yet; `warned` is what was told last."""
    within = [days for days in WARNING_DAYS if valid_until - now <= timedelta(days=days)]
    due = min(within, default=None)
    return due if due is not None and (warned is None or due < warned) else None
