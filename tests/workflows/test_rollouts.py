"""New configurations: some try first, the rest follows, one failure stops them; what gateways say decides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from vigia.authority.issuing import Authority
from vigia.authority.requests import is_signed_by
from vigia.domain.errors import InvalidValueError, NotFoundError, TransitionRefusedError
from vigia.sparkplug import statements
from vigia.store import audit, rollouts
from vigia.store.database import Caller, Database
from vigia.workflows import halt_rollout, report_configuration, roll_out, sign_configurations
from vigia.workflows.report_configuration import Report
from vigia.workflows.roll_out import Order

if TYPE_CHECKING:
    from tests.workflows.conftest import Plant

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STAFF = Caller(staff=True)
NODES = 4


def toml(text: str) -> str:
    return f'[[node]]\n[node.source]\ntype = "{text}"\n'


@pytest.fixture
async def app(plant: Plant, app_db: Database) -> Database:
    """The database in the role of the api, with four edge nodes."""
    async with plant.service.transaction() as tx:
        await tx.execute(
            "insert into edge_node (customer_id, site_id, group_id, node_id) select 1, 1, 'north', 'n' || n from generate_series(1, %s) n",
            (NODES,),
        )
    return app_db


async def begin(app: Database, *nodes: int, share: float = 0.5, text: str = "replay") -> int:
    async with app.transaction(STAFF) as tx:
        return await roll_out.handle(tx, Order("faster", share, [(node, toml(text)) for node in nodes]), T0, None)


async def says(app: Database, node: int, **report: Any) -> None:  # noqa: ANN401 - the fields of a report
    async with app.transaction(STAFF) as tx:
        await report_configuration.handle(tx, node, Report(**report), T0 + timedelta(hours=1))


async def states(app: Database, rollout_id: int) -> tuple[str, dict[int, str]]:
    async with app.transaction(STAFF) as tx:
        rollout = await rollouts.locked(tx, rollout_id)
        assert rollout is not None
        return rollout.stage, {part.edge_node_id: part.state for part in await rollouts.parts(tx, rollout_id)}


async def test_some_try_first_and_the_rest_follows_when_they_run_well(app: Database) -> None:
    rollout_id = await begin(app, 1, 2, 3, 4)
    assert await states(app, rollout_id) == ("canary", {1: "released", 2: "released", 3: "waiting", 4: "waiting"})
    await says(app, 1, version=1)
    await says(app, 3, version=1)  # which it cannot have
    assert await states(app, rollout_id) == ("canary", {1: "applied", 2: "released", 3: "waiting", 4: "waiting"})
    await says(app, 2, version=1)
    assert await states(app, rollout_id) == ("rest", {1: "applied", 2: "applied", 3: "released", 4: "released"})
    await says(app, 3, version=1)
    await says(app, 4, version=1)
    assert (await states(app, rollout_id))[0] == "done"


async def test_one_that_fails_stops_the_rest_and_says_why(app: Database) -> None:
    rollout_id = await begin(app, 1, 2, 3, 4)
    await says(app, 1, version=1)
    await says(app, 2, failed=1, why="the source does not come up")
    assert await states(app, rollout_id) == ("halted", {1: "applied", 2: "failed", 3: "withdrawn", 4: "withdrawn"})
    async with app.transaction(STAFF) as tx:
        events = await audit.of_subject(tx, "edge_node:2")
        assert await rollouts.offered(tx, 3) is None
    assert [event.action for event in events] == ["roll_out", "fail_configuration"]
    assert events[1].detail["why"] == "the source does not come up"


async def test_saying_it_again_changes_nothing(app: Database) -> None:
    rollout_id = await begin(app, 1, 2)
    for _ in range(3):
        await says(app, 1, failed=1, why="once")
    await says(app, 1, version=1)
    assert (await states(app, rollout_id))[1][1] == "failed"
    async with app.transaction(STAFF) as tx:
        assert len(await audit.of_subject(tx, "edge_node:1")) == 2


async def test_who_had_fetched_it_before_the_halt_is_counted_right(app: Database) -> None:
    rollout_id = await begin(app, 1, 2, 3, share=1)
    await says(app, 1, failed=1, why="no")
    await says(app, 2, version=1)
    assert await states(app, rollout_id) == ("halted", {1: "failed", 2: "applied", 3: "withdrawn"})


async def test_a_gateway_is_offered_its_newest_signed_version_that_did_not_fail(app: Database, service: Database, tmp_path: Any) -> None:  # noqa: ANN401
    authority = Authority.create(tmp_path, T0)

    async def offered() -> tuple[int, str] | None:
        async with app.transaction(STAFF) as tx:
            found = await rollouts.offered(tx, 1)
        if found is None:
            return None
        assert is_signed_by(authority.certificate, statements.configuration("north", "n1", found.version, found.toml), found.signature)
        return found.version, found.toml

    async def sign() -> int:
        async with service.transaction() as tx:
            return await sign_configurations.handle(tx, authority)

    await begin(app, 1, text="a")
    assert await offered() is None
    assert (await sign(), await sign()) == (1, 0)
    assert await offered() == (1, toml("a"))
    await says(app, 1, version=1)
    await begin(app, 1, text="b")
    await sign()
    assert await offered() == (2, toml("b"))
    await says(app, 1, version=1, failed=2, why="no")
    assert await offered() == (1, toml("a"))


async def test_a_person_stops_it(app: Database) -> None:
    rollout_id = await begin(app, 1, 2)
    async with app.transaction(STAFF) as tx:
        await halt_rollout.handle(tx, rollout_id, T0, None)
    assert await states(app, rollout_id) == ("halted", {1: "withdrawn", 2: "withdrawn"})
    async with app.transaction(STAFF) as tx:
        with pytest.raises(TransitionRefusedError):
            await halt_rollout.handle(tx, rollout_id, T0, None)
        with pytest.raises(NotFoundError):
            await halt_rollout.handle(tx, 99, T0, None)
    await begin(app, 1)


async def test_a_gateway_is_part_of_one_roll_out_at_a_time(app: Database) -> None:
    await begin(app, 1, 2)
    with pytest.raises(TransitionRefusedError, match="north/n2"):
        await begin(app, 3, 2)
    await begin(app, 3)


@pytest.mark.parametrize("nodes", [(), (1, 1)])
async def test_a_roll_out_brings_one_configuration_to_each(app: Database, nodes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValueError):
        await begin(app, *nodes)


async def test_what_cannot_be_rolled_out_leaves_nothing_behind(app: Database) -> None:
    with pytest.raises(NotFoundError):
        await begin(app, 1, 99)
    with pytest.raises(InvalidValueError):
        await begin(app, 1, text='"')
    await begin(app, 1)


async def test_customers_see_how_theirs_stand(app: Database) -> None:
    await begin(app, 1)
    counts = []
    for caller in (Caller(customer_id=1), Caller(customer_id=2), None):
        async with app.transaction(caller) as tx:
            row = await (await tx.execute("select (select count(*) from rollout), (select count(*) from edge_configuration)")).fetchone()
            counts.append(row)
    assert counts == [(1, 1), (0, 0), (0, 0)]
