"""A `vigia` command whose buffers are on a disk that forgets what was not flushed: `lossy_gateway.py BUFFERS ORDER ...`.

On SIGUSR1 the power goes. What is left of the folder BUFFERS is then in the folder that the file ORDER names ({"to", "seed"}), and in
`promised.json` beside it how many samples each buffer had said to have stored.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "edge"))

from lossy_disk import LossyDisk, lossy_disk

from vigia import cli
from vigia.edge.buffer import EdgeBuffer
from vigia.edge.buffer_records import Batch
from vigia.edge.samples import Tick

promised: dict[str, int] = {}
_append = EdgeBuffer.append


def append(self: EdgeBuffer, *ticks: Tick) -> list[Batch]:
    batches = _append(self, *ticks)
    promised[self.path.name] = self._state.samples_stored
    return batches


def cut(disk: LossyDisk, order: Path) -> None:
    disk.cut_after = 0
    said = dict(promised)
    told = json.loads(order.read_text())
    to = Path(told["to"])
    disk.power_cut(to, told["seed"])
    (to.parent / "promised.json").write_text(json.dumps(said))
    os._exit(1)


def main() -> None:
    folder, order = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    sys.argv[1:] = sys.argv[3:]
    EdgeBuffer.append = append  # type: ignore[method-assign]
    with lossy_disk(folder) as disk:
        signal.signal(signal.SIGUSR1, lambda *_: cut(disk, order))
        cli.main()


main()
