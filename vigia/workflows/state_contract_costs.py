"""The service manager states what things cost the manufacturer under a contract: from the next prediction on its orders are timed by it."""

from dataclasses import asdict

from vigia.domain.contracts import ContractCosts
from vigia.domain.errors import InvalidValueError, NotFoundError
from vigia.store import audit, contracts
from vigia.store.audit import Action
from vigia.store.database import Transaction


async def handle(tx: Transaction, contract_id: int, asset_model: str, stated: ContractCosts | None, account_id: int) -> None:
    """State the costs for machines of that model (its code), or with None state them no more. Raises NotFoundError, InvalidValueError.

    The record belongs to no customer: what the manufacturer pays is not the customer's to see.
    """
    if await contracts.get(tx, contract_id) is None:
        raise NotFoundError
    before = next((one for one in await contracts.costs(tx, contract_id) if one.asset_model == asset_model), None)
    if not await contracts.set_costs(tx, contract_id, asset_model, stated):
        if stated is not None:
            raise InvalidValueError("There is no asset model of that code.")
        return
    was = None if before is None else ContractCosts(before.failure, before.visit, before.lost_life)
    detail = {"asset_model": asset_model, "before": _plain(was), "after": _plain(stated)}
    await audit.record(tx, Action(account_id, None, "state_contract_costs", f"contract:{contract_id}", detail))


def _plain(costs: ContractCosts | None) -> dict[str, str] | None:
    return None if costs is None else {name: str(amount) for name, amount in asdict(costs).items()}
