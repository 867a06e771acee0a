"""Which points are read together: every request costs the machine's time, and a serial line carries few of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vigia.edge.sources.modbus.config import DeviceConfig, PointConfig, Table


@dataclass(frozen=True)
class Block:
    """One request. `points` in the order of their addresses, all of one table."""

    points: tuple[PointConfig, ...]

    @property
    def table(self) -> Table:
        """The table that is read."""
        return self.points[0].table

    @property
    def address(self) -> int:
        """The first address that is read."""
        return self.points[0].address

    @property
    def count(self) -> int:
        """Bits or registers that are read."""
        return max(point.end for point in self.points) - self.address

    @property
    def halves(self) -> tuple["Block", "Block"] | None:
        """The same points in two requests; None when they lie at the same place."""
        if len({(point.address, point.end) for point in self.points}) == 1:
            return None
        middle = len(self.points) // 2
        return Block(self.points[:middle]), Block(self.points[middle:])

    def __str__(self) -> str:
        return f"{self.table} {self.address}-{self.address + self.count - 1}"


def plan(device: DeviceConfig) -> tuple[Block, ...]:
    """The requests that read all points of `device`, as few as its gap, its limits and what is separate allow."""
    ordered = sorted(device.point, key=lambda point: (point.table, point.address, point.end))
    alone = [Block((point,)) for point in ordered if point.separate]
    return (*_together(device, (point for point in ordered if not point.separate)), *alone)


def _together(device: DeviceConfig, ordered: Iterable[PointConfig]) -> Iterator[Block]:
    points: list[PointConfig] = []
    end = 0
    for point in ordered:
        if points and not _may_join(device, points[0], end, point):
            yield Block(tuple(points))
            points, end = [], 0
        points.append(point)
        end = max(end, point.end)
    if points:
        yield Block(tuple(points))


def _may_join(device: DeviceConfig, first: PointConfig, end: int, point: PointConfig) -> bool:
    most = device.max_bits if point.is_bit_table else device.max_registers
    return point.table == first.table and point.address <= end + device.max_gap and max(end, point.end) - first.address <= most
