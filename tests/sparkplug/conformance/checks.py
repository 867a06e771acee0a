"""The register of checks: each answers one question about a transcript, for one or several assertions."""

from collections.abc import Callable

from conformance.reading import FROM_EDGES, Reading, Said

Check = Callable[[Reading, tuple[str, ...]], Said]

CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register it under the name of its module's subject and its own, as `edge.topic`."""
    subject = function.__module__.rsplit(".", 1)[1].split("_")[0]
    CHECKS[f"{subject}.{function.__name__}"] = function
    return function


def check_both(function: Check) -> Check:
    """Register it for edge nodes and for host applications."""
    CHECKS[f"edge.{function.__name__}"] = CHECKS[f"host.{function.__name__}"] = function
    return function


def ask(call: str, reading: Reading) -> Said:
    """Run `subject.name` or `subject.name:KIND,KIND`; without kinds, or with `*`, all kinds that edge nodes send."""
    name, _, kinds = call.partition(":")
    return CHECKS[name](reading, FROM_EDGES if kinds in ("", "*") else tuple(kinds.split(",")))
