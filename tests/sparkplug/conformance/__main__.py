"""Play, judge and write the page: `PYTHONPATH=tests/sparkplug python -m conformance`."""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sparkplug-conformance.md"
sys.path.append(str(ROOT / "tests" / "ingest"))

from conformance.plays import play  # noqa: E402 - the harness of ingest's tests is no package
from conformance.report import page, totals  # noqa: E402
from conformance.verdicts import FAIL, judge  # noqa: E402
from vigia.store.embedded import EmbeddedPostgres  # noqa: E402

with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "home") as server:
    verdicts = judge(play(Path(folder), server.dsn))
PAGE.write_text(page(verdicts), "utf-8")
for verdict in verdicts:
    if verdict.result == FAIL:
        sys.stdout.write(f"{verdict.assertion.level} {verdict.assertion.id}: {len(verdict.found)} times, as {verdict.found[0]}\n")
for profile, count in totals(verdicts).items():
    sys.stdout.write(f"{profile}: {', '.join(f'{number} {result}' for result, number in count.items())}\n")
