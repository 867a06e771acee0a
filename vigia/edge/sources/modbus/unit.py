"""One machine at a unit id: asked at its pace, born when it first answers, dead when it is silent."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import structlog

from vigia.edge.clock import now_ms
from vigia.edge.samples import Sample, Tick
from vigia.edge.sources.modbus.config import DeviceConfig
from vigia.edge.sources.modbus.line import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Answer, Line, RefusedError, SilentError
from vigia.edge.sources.modbus.plan import Block, plan
from vigia.edge.sources.modbus.values import value_of
from vigia.sparkplug.names import QUALITY_BAD, QUALITY_GOOD

log = structlog.get_logger()

LONGEST_PAUSE_S = 30.0


@dataclass
class _Poll:
    """What a poll has brought so far, and the requests that it took."""

    samples: list[Sample] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    answered: bool = False

    def add(self, block: Block, samples: Iterable[Sample]) -> None:
        """`block` was read, or could not be."""
        self.blocks.append(block)
        self.samples += samples


class Unit:
    """`due` is when to poll it next, on the clock that `begin` and `schedule` are told."""

    def __init__(self, config: DeviceConfig, retries: int) -> None:
        self.due = 0.0
        self.alive = False
        self.overruns = 0
        self._config = config
        self._retries = retries
        self._blocks: list[Block] = []
        self._first = 0
        self._refused: dict[Block, int] = {}
        self._whole: set[Block] = set()
        self._silent: set[Block] = set()
        self._pause_s = config.poll_s
        self._log = log.bind(device=config.device_id, unit_id=config.unit_id)

    def begin(self, now: float) -> None:
        """A new connection: whether the unit is there has to be seen again."""
        self.due, self.alive, self._pause_s = now, False, self._config.poll_s
        self._blocks = list(plan(self._config))
        for _ in range(self._first):
            self._ask_another_first()
        self._whole.clear()
        self._silent.clear()

    def _ask_another_first(self) -> None:
        self._blocks = [*self._blocks[1:], self._blocks[0]]

    def schedule(self, now: float) -> None:
        """Set the next `due`: at the period's own pace, however long the poll took; a silent unit is asked less and less often."""
        if not self.alive:
            self._pause_s = min(2 * self._pause_s, max(LONGEST_PAUSE_S, self._config.poll_s))
            self.due = now + self._pause_s
            return
        self._pause_s = self._config.poll_s
        self.due += self._config.poll_s
        if self.due < now:
            missed = int((now - self.due) // self._config.poll_s) + 1
            self.due += missed * self._config.poll_s
            if not self.overruns:
                self._log.warning("polls are left out: the line is too slow for them; raise poll_s or max_gap", poll_s=self._config.poll_s)
            self.overruns += missed

    async def poll(self, line: Line) -> Tick | None:
        """Read all points. None when a silent unit stays silent. Raises SourceUnavailableError."""
        poll = _Poll()
        for block in self._blocks:
            await self._read(line, block, poll)
            if not (poll.answered or self.alive):
                # One question is enough; the next poll begins with another one, should this one never be answered.
                self._first = (self._first + 1) % len(self._blocks)
                self._ask_another_first()
                return None
        self._blocks = poll.blocks
        was_alive, self.alive = self.alive, poll.answered
        if not poll.answered:
            self._silent.clear()
            self._log.warning("device does not answer")
            return Tick(deaths=(self._config.device_id,))
        return Tick(samples=tuple(poll.samples), births=() if was_alive else (self._config.device,))

    async def _read(self, line: Line, block: Block, poll: _Poll) -> None:
        """Add what `block` says to `poll`. Raises SourceUnavailableError."""
        patient = self.alive and block not in self._silent and (poll.answered or not poll.samples)
        halves = None
        try:
            answer = await line.read(self._config.unit_id, block, 1 + self._retries if patient else 1)
        except SilentError:
            self._silent.add(block)
            poll.add(block, _bad(self._config.device_id, block))
            return
        except RefusedError as error:
            if error.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE) and block not in self._whole:
                halves = block.halves
            if halves is None:
                self._tell(block, error)
                poll.add(block, _bad(self._config.device_id, block))
        else:
            self._whole.discard(block)
            self._refused.pop(block, None)
            poll.add(block, self._samples(block, answer))
        self._silent.discard(block)
        poll.answered = True
        if halves is not None:
            await self._split(line, block, halves, poll)

    async def _split(self, line: Line, block: Block, halves: tuple[Block, Block], poll: _Poll) -> None:
        """Read a refused block in halves, from now on if that helps: an address that does not exist must not take others along."""
        part = _Poll(answered=True)
        for half in halves:
            await self._read(line, half, part)
        if any(sample.quality == QUALITY_GOOD for sample in part.samples):
            poll.samples += part.samples
            poll.blocks += part.blocks
        else:
            self._whole.add(block)
            poll.add(block, part.samples)

    def _tell(self, block: Block, error: RefusedError) -> None:
        if self._refused.get(block) != error.code:
            self._log.warning("machine refuses to tell", block=str(block), code=error.code, why=str(error))
        self._refused[block] = error.code

    def _samples(self, block: Block, answer: Answer) -> Iterator[Sample]:
        for point in block.points:
            words = answer.words[point.address - block.address : point.end - block.address]
            value = value_of(point, self._config, words)
            quality = QUALITY_BAD if value is None else QUALITY_GOOD
            yield Sample(self._config.device_id, point.name, answer.at, value, quality)


def _bad(device_id: str, block: Block) -> list[Sample]:
    now = now_ms()
    return [Sample(device_id, point.name, now, None, QUALITY_BAD) for point in block.points]
