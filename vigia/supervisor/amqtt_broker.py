"""A process that runs the amqtt broker on 127.0.0.1: `python -m vigia.supervisor.amqtt_broker PORT`.

It ends on SIGTERM or SIGINT, and with exit code 1 and one sentence when it cannot listen.
"""

import asyncio
import logging
import signal
import sys
import warnings

ADDRESS = "127.0.0.1"


async def serve(port: int) -> None:
    """Serve until told to stop."""
    from amqtt.broker import Broker  # noqa: PLC0415 - after logging is silenced

    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{ADDRESS}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    # A connection that its client cut leaves tasks with errors nobody waits for; they concern that connection alone.
    loop.set_exception_handler(lambda _loop, _context: None)
    await stopped.wait()
    await broker.shutdown()


def main() -> int:
    """Run the broker; returns the process's exit code."""
    # amqtt reports every connection's fate as warnings and errors; the clients' own logs say what matters.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    port = int(sys.argv[1])
    try:
        asyncio.run(serve(port))
    except Exception as error:  # noqa: BLE001 - the last words of a child process
        sys.stderr.write(f"the amqtt broker cannot serve on {ADDRESS}:{port}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
