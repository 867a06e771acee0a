"""`vigia demo`."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from vigia.cli.logs import configure_logging
from vigia.cli.options import AsJson, Broker, Dsn, Home, Host, Port
from vigia.errors import ConfigError
from vigia.settings import load_settings


def demo(
    home: Home = None,
    dsn: Dsn = None,
    broker: Broker = None,
    host: Host = None,
    port: Port = None,
    fix: Annotated[bool, typer.Option("--fix/--no-fix", help="Do the predicted work, or fly every engine to its failure.")] = True,
    engines: Annotated[int, typer.Option(help="How many engines fly, 1 to 20.")] = 20,
    speed: Annotated[str | None, typer.Option(help="Hours of fleet time a second, or max (default 1; headless: max).")] = None,
    hours: Annotated[int | None, typer.Option(help="Hours of fleet time (default: until every recorded life is over).")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Fly to the end without waiting for a browser, then stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """A whole fleet on this machine: fly it, predict, fix, see the outcome."""
    import asyncio

    from vigia.demo.run import DemoConfig, Run
    from vigia.demo.screen import Screen
    from vigia.ingest.config import BrokerConfig

    settings = load_settings(home=home, dsn=dsn, broker=broker, host=host, port=port)
    if settings.broker is not None:
        BrokerConfig.from_url(settings.broker, settings.broker_ca, settings.broker_cert, settings.broker_key)  # says what is wrong with it
    config = DemoConfig(
        home=settings.home.absolute(),
        host=settings.host,
        port=settings.port,
        dsn=settings.dsn,
        broker=settings.broker,
        fix=fix,
        engines=engines,
        hours=hours,
        hours_per_s=_hours_per_s(speed or ("max" if headless else "1")),
        headless=headless,
    )
    screen = Screen(quiet=as_json)

    async def fly() -> None:
        task = asyncio.current_task()

        def stop() -> None:
            if task is not None and not task.cancelling():
                screen.stopping()
                task.cancel()

        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # Ctrl-C, a service manager, a closed terminal
            asyncio.get_running_loop().add_signal_handler(signal_number, stop)
        report = await Run(config, screen).fly()
        if as_json:
            sys.stdout.write(report.as_json() + "\n")

    with _logging_to_a_file(settings.log_level, config.home), contextlib.suppress(asyncio.CancelledError):
        asyncio.run(fly())


@contextlib.contextmanager
def _logging_to_a_file(level: str, home: Path) -> Iterator[None]:
    """Meanwhile this process logs below `home`: the screen is for people."""
    try:
        (home / "log").mkdir(parents=True, exist_ok=True)
        file = (home / "log" / "demo.log").open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"cannot write in {home} ({error.strerror}); choose another folder with --home") from None
    with file:
        configure_logging(level, file)
        try:
            yield
        finally:
            configure_logging(level)


def _hours_per_s(speed: str) -> float | None:
    if speed == "max":
        return None
    with contextlib.suppress(ValueError):
        if (value := float(speed)) > 0:
            return value
    raise ConfigError(f"--speed {speed}: give hours of fleet time a second, such as 1 or 0.5, or max")
