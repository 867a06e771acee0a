"""The machines that a load needs in the database."""

import numpy as np
from numpy.typing import NDArray

from vigia.bench.load import DEVICE, GROUP, START_MS, Load, node_id, point_name, serial_number
from vigia.store import fleet, installations, points, telemetry
from vigia.store.database import Transaction
from vigia.store.points import NewPoint


async def seed(tx: Transaction, load: Load) -> NDArray[np.int32]:
    """Put customer, site, edge nodes and machines of `load` into an empty database; the ids of the points by edge and point."""
    model = await fleet.add_asset_model(tx, GROUP, "Benchmark machine", "h")
    customer = await fleet.add_customer(tx, GROUP, "Benchmark")
    site = fleet.Site(await fleet.add_site(tx, customer, GROUP, "Benchmark", "UTC"), customer, GROUP, "Benchmark", "UTC")
    line = await fleet.add_line(tx, customer, await fleet.add_area(tx, customer, site.site_id, "Hall"), "Line")
    new = [NewPoint(point_name(point)) for point in range(load.points)]
    ids = np.empty((load.edges, load.points), np.int32)
    for edge in range(load.edges):
        node = await fleet.add_edge_node(tx, site, GROUP, node_id(edge))
        role = await fleet.add_role(tx, fleet.NewRole(customer, line, model, node_id(edge), node, DEVICE))
        asset = await fleet.add_asset(tx, model, serial_number(edge))
        await installations.install(tx, customer, role, asset, telemetry.from_us(START_MS * 1000))
        found = await points.ensure_points(tx, asset, new)
        ids[edge] = [found[one.name] for one in new]
    return ids
