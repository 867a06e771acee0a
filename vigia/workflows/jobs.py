"""Jobs: what must happen after a commit, deferred in the transaction that causes it.

A job exists if and only if its cause was committed. It holds ids and times, never objects. Jobs of one asset run in the
order they were deferred, one at a time, on however many workers.
"""

from datetime import datetime
from typing import Literal

from procrastinate import App, PsycopgConnector

from vigia.store import jobs as stored_jobs
from vigia.store.database import Transaction

TaskName = Literal[
    "record_state",  # asset_id, at, state: a state point changed
    "finding_to_alarm",  # finding_id
    "finding_over",  # asset_id, point_id, detector, at: what was found there is over
    "second_opinion",  # finding_id: after its alarm, on a queue of its own
    "prediction_to_alarm",  # prediction_id, and model_rule_id where the contract's costs chose the rule
    "case_to_work_order",  # failure_case_id, at
    "dispatch_day",  # at
]

QUEUE = "vigia"
LATER_QUEUE = "vigia_later"
"""What takes computing and may wait. A worker runs it beside the other queue, so that no alarm waits behind it."""

_DISPATCH_LOCK = "dispatch"  # two visits planned at once could pick the same technician for the same hour

# Never opened: deferring uses the caller's connection. The worker runs its own copy with a real connector.
_deferring = App(connector=PsycopgConnector())


async def defer(tx: Transaction, task: TaskName, **args: float | str | datetime) -> int:
    """Have a worker run `task` once `tx` is committed; the job's id.

    Arguments are ids, numbers and times (aware; carried as ISO 8601). The task's name decides which: see TaskName.
    """
    carried = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in args.items()}
    queue = LATER_QUEUE if task == "second_opinion" else QUEUE
    deferrer = _deferring.configure_task(task, connection=tx, queue=queue, lock=await _lock(tx, task, carried))
    return await deferrer.defer_async(**carried)


async def _lock(tx: Transaction, task: TaskName, args: dict[str, int | float | str]) -> str:
    if task == "dispatch_day":
        return _DISPATCH_LOCK
    if task == "second_opinion":
        return f"second_opinion:{args['finding_id']}"
    if "asset_id" in args:
        return f"asset:{args['asset_id']}"
    key = {"finding_to_alarm": "finding_id", "prediction_to_alarm": "prediction_id", "case_to_work_order": "failure_case_id"}[task]
    return f"asset:{await stored_jobs.asset_of(tx, key, int(args[key]))}"
