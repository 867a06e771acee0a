"""The machines that a load needs in the database."""

import numpy as np
from numpy.typing import NDArray

from vigia.bench.load import DEVICE, GROUP, START_MS, Load, node_id, point_name, serial_number
from vigia.store import fleet, measured, telemetry
from vigia.store.database import Transaction


async def seed(tx: Transaction, load: Load) -> NDArray[np.int32]:
    """Put customer, site, edge nodes and machines of `load` into an empty database; the ids of the points by edge and point."""
    model = await fleet.add_asset_model(tx, GROUP, "Benchmark machine", "h")
    customer = await fleet.add_customer(tx, GROUP, "Benchmark")
    site = await fleet.add_site(tx, customer, GROUP, "Benchmark", "UTC")
    line = await fleet.add_line(tx, customer, await fleet.add_area(tx, customer, site, "Hall"), "Line")
    return await measured.add_machines(
        tx,
        measured.Machines(
            customer_id=customer,
            site_id=site,
            line_id=line,
            asset_model_id=model,
            group_id=GROUP,
            device_id=DEVICE,
            node_ids=[node_id(edge) for edge in range(load.edges)],
            serial_numbers=[serial_number(edge) for edge in range(load.edges)],
            point_names=[point_name(point) for point in range(load.points)],
            installed_at=telemetry.from_us(START_MS * 1_000),
        ),
    )
