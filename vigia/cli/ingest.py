"""`vigia ingest`."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigia.cli import loop
from vigia.cli.databases import at_hand, named
from vigia.cli.options import AsJson, Broker, Dsn, Home
from vigia.errors import ConfigError
from vigia.settings import Settings, load_settings

if TYPE_CHECKING:
    from vigia.ingest.config import BrokerConfig
    from vigia.store.dead_letters import DeadLetter

app = typer.Typer(no_args_is_help=True)


Topics = Annotated[
    str | None,
    typer.Option(
        help='Table of the plain topics to read: a file, "default" for the one that comes with Vigía, "none" for none '
        "(default default, env VIGIA_INGEST_TOPICS).",
        show_default=False,
    ),
]
Share = Annotated[
    str | None,
    typer.Option(help="Name under which several workers share the data messages (env VIGIA_INGEST_SHARE).", show_default=False),
]
WatchHost = Annotated[
    str | None,
    typer.Option(help="Address to tell metrics and health on (default 127.0.0.1, env VIGIA_INGEST_WATCH_HOST).", show_default=False),
]
WatchPort = Annotated[
    int | None,
    typer.Option(
        help="Port to tell metrics and health on, 0 for a free one; none by default (env VIGIA_INGEST_WATCH_PORT).", show_default=False
    ),
]


@app.command()
def run(
    topics: Topics = None,
    share: Share = None,
    watch_host: WatchHost = None,
    watch_port: WatchPort = None,
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
) -> None:
    """Bring what the edges publish to the database until stopped."""
    from vigia.ingest.config import IngestConfig, Limits, WatchConfig
    from vigia.ingest.plain.table import load
    from vigia.ingest.process import run as ingest

    settings = load_settings(
        home=home,
        dsn=dsn,
        broker=broker,
        ingest_topics=topics,
        ingest_share=share,
        ingest_watch_host=watch_host,
        ingest_watch_port=watch_port,
    )
    port = settings.ingest_watch_port
    config = IngestConfig(
        dsn=named(settings),
        broker=_broker(settings),
        topics=None if settings.ingest_topics == "none" else load(settings.ingest_topics),
        limits=Limits(reorder_s=settings.ingest_reorder_s),
        share=settings.ingest_share,
        watch=None if port is None else WatchConfig(settings.ingest_watch_host, port),
    )
    loop.run_until_stopped(ingest(config))


def _broker(settings: Settings) -> "BrokerConfig":
    """The broker given. Raises ConfigError when there is none."""
    from vigia.ingest.config import BrokerConfig

    if settings.broker is None:
        raise ConfigError("No broker is named: give --broker (VIGIA_BROKER); `vigia demo` starts one by itself.")
    return BrokerConfig.from_url(settings.broker, settings.broker_ca, settings.broker_cert, settings.broker_key)


letters = typer.Typer()
app.add_typer(letters, name="dead-letters")


@letters.callback(invoke_without_command=True)
def dead_letters(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    reason: Annotated[str | None, typer.Option(help="Only those of this reason.", show_default=False)] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Show the newest of each reason instead, with how its payload begins.")] = False,
    as_json: AsJson = False,
    home: Home = None,
    dsn: Dsn = None,
) -> None:
    """List messages that could not be used, with their reasons."""
    if context.invoked_subcommand is not None:
        sources = [context.get_parameter_source(name) for name in context.params]
        if any(source is not None and source.name == "COMMANDLINE" for source in sources):
            raise ConfigError(f"Options belong behind the command: vigia ingest dead-letters {context.invoked_subcommand} OPTIONS.")
        return
    from vigia.store import dead_letters as store
    from vigia.store.database import Database

    async def read(address: str) -> tuple[list[store.ReasonCount], list[store.DeadLetter]]:
        async with Database(address, "vigia_service", max_size=1) as database, database.transaction() as tx:
            counts = await store.counts(tx, reason)
            if not sample:
                return counts, await store.newest(tx, limit, reason=reason)
            samples = await store.samples(tx, reason=reason)
            return counts, [samples[count.reason] for count in counts]

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        counts, letters = loop.run(read(address))
    if as_json:
        shown = [{**asdict(letter), "payload": letter.payload.hex()} for letter in letters]
        _print_json({"counts": [asdict(count) for count in counts], "dead_letters": shown})
        return
    for count in counts:
        sys.stdout.write(f"{count.count:>8}  {count.newest:%Y-%m-%d %H:%M:%S}Z  {count.reason}\n")
    for letter in letters:
        _show(letter, payload=sample)
    if not letters:
        sys.stdout.write("No dead letters.\n")


def _show(letter: "DeadLetter", *, payload: bool) -> None:
    """The letter, how its payload begins if wanted, and the command that publishes it again if that can be done."""
    from vigia.ingest.replay import unfit_forever

    kept = "" if letter.complete else " (cut)"
    sys.stdout.write(f"\n{letter.dead_letter_id}  {letter.received_at:%Y-%m-%d %H:%M:%S}Z  {letter.topic}  {letter.size} bytes{kept}\n")
    sys.stdout.write(f"  {letter.reason}: {letter.detail}\n")
    if payload and letter.payload:
        sys.stdout.write(f"  {_readable(letter.payload)}{'' if len(letter.payload) == letter.size else ' ...'}\n")
    if unfit_forever(letter) is None:
        sys.stdout.write(f"  vigia ingest dead-letters replay --id {letter.dead_letter_id}\n")


@letters.command("replay")
def replay_dead_letters(
    reason: Annotated[str | None, typer.Option(help="Only those of this reason.", show_default=False)] = None,
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this one; may be given again.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="How many, oldest first; all by default.", show_default=False)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be published; needs no broker.")] = False,
    as_json: AsJson = False,
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
) -> None:
    """Publish plain messages that could not be used once more, oldest first, when the cause is mended."""
    from vigia.ingest.replay import Publisher, Rehearsed, Replayed, rehearse, replay
    from vigia.store import dead_letters as store
    from vigia.store.database import Database

    if reason is None and not ids:
        raise ConfigError("Say which dead letters: give --reason or --id (`vigia ingest dead-letters` lists both).")
    settings = load_settings(home=home, dsn=dsn, broker=broker)
    where = None if dry_run else _broker(settings)

    async def work(address: str) -> Replayed | Rehearsed:
        async with Database(address, "vigia_service", max_size=1) as database:
            async with database.transaction() as tx:
                wanted = (await store.ids(tx, reason, ids or None))[:limit]
            if where is None:
                return await rehearse(database, wanted, datetime.now(UTC))
            async with Publisher(where) as publisher:
                return await replay(database, publisher, wanted, datetime.now(UTC))

    with at_hand(settings) as address:
        done = loop.run(work(address))
    if as_json:
        _print_json(asdict(done))
        return
    for left in done.left:
        sys.stdout.write(f"{left.dead_letter_id}  {left.topic}  kept: {left.why}\n")
    said = f"{len(done.published)} published" if isinstance(done, Replayed) else f"{len(done.would_publish)} would be published"
    sys.stdout.write(f"{said}, {len(done.left)} kept.\n")


def _readable(payload: bytes) -> str:
    """Text as it is, on one line; anything else as the hexadecimal it is."""
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        # What is shown may end within a character.
        text = payload[: error.start].decode() if error.start > len(payload) - 4 else ""
    text = " ".join(text.split())
    return text if text and text.isprintable() else payload.hex()


@app.command()
def status(as_json: AsJson = False, home: Home = None, dsn: Dsn = None) -> None:
    """Show, for each edge node, what of its numbered batches is committed, what is missing and how complete the data is."""
    from vigia.store import ledger
    from vigia.store.database import Database

    async def read(address: str) -> list[ledger.EdgeLedger]:
        async with Database(address, "vigia_service", max_size=1) as database, database.transaction() as tx:
            return await ledger.status(tx)

    with at_hand(load_settings(home=home, dsn=dsn)) as address:
        edges = loop.run(read(address))
    if as_json:
        _print_json({"edges": [{**asdict(edge), "completeness": edge.completeness} for edge in edges]})
        return
    sys.stdout.write(f"{'edge node':32} {'state':8} {'newest':>10} {'watermark':>10} {'complete':>10}  missing\n")
    for edge in edges:
        complete = "-" if edge.completeness is None else f"{edge.completeness:.3%}"
        holes = ", ".join(f"{first}-{last}" for first, last in edge.holes[:5]) or "none"
        online = "online" if edge.online else "offline"
        name = f"{edge.group_id}/{edge.node_id}"
        sys.stdout.write(f"{name:32} {online:8} {edge.newest or 0:>10} {edge.watermark or 0:>10} {complete:>10}  {holes}\n")


def _print_json(found: dict[str, Any]) -> None:
    def text(value: object) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    sys.stdout.write(json.dumps(found, ensure_ascii=False, default=text) + "\n")
