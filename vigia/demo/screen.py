"""What the demo says in the terminal: one screen of text, then one line that lives."""

import sys
import time
from dataclasses import dataclass, field

from vigia.demo import fleet
from vigia.demo.fleet import fleet_time
from vigia.demo.logbook import Logbook
from vigia.demo.report import RunReport, table
from vigia.supervisor.stack import Stack

QUIET_LINE_EVERY_S = 15.0


@dataclass
class Screen:
    """Writes to standard error, so that `--json` has standard output for itself. `quiet` says nothing but warnings."""

    quiet: bool
    _line_at: float = 0.0
    _hours: int = field(default=0)

    def starting(self, stack: Stack) -> None:
        """The servers stand; the processes follow."""
        embedded = "" if stack.config.dsn else ", embedded"
        profile = stack.migration.profile if stack.migration else ""
        self._say(f"Vigía starts: PostgreSQL ({profile}{embedded}), {stack.broker_name}; everything it makes lies in {stack.config.home}")

    def ready(self, stack: Stack, credentials: fleet.Credentials, logbook: Logbook) -> None:
        """Everything answers: where to look, with which log-in."""
        plan = logbook.plan
        if plan is None or self.quiet:
            return
        self._hours = plan.hours
        how = "fixed before they fail" if plan.fix else "flown to failure"
        lines = [
            "",
            f"  {stack.api_url}    open this in a browser",
            "",
            *(f"  {person.title:<16} {person.login:<28} {person.password}" for person in credentials.shown),
            "",
            f"  {plan.engines} engines age and are {how}. A flight cycle is one hour of fleet time.",
            "  Ctrl-C stops everything; the same command goes on where it was.",
            "",
        ]
        self._say("\n".join(lines))

    def progress(self, hour: int, state: str) -> None:
        """The live line; every now and then a whole line where the output is not a terminal."""
        if self.quiet:
            return
        left = f" of {self._hours}" if hour <= self._hours else ""
        text = f"  hour {hour}{left} · {fleet_time(hour):%a %d %b %H:%M} fleet time{' · ' + state if state else ''}"
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
        elif time.monotonic() - self._line_at > QUIET_LINE_EVERY_S:
            self._line_at = time.monotonic()
            self._say(text)

    def report(self, report: RunReport) -> None:
        """The table at the end of the pilot."""
        self._say("\n" + table(report) + "\n")

    def stopping(self) -> None:
        """Said once, so that the seconds of an orderly stop do not look like a hang."""
        self._say("\n  stopping")

    def _say(self, text: str) -> None:
        if not self.quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
