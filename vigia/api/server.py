"""The process: bind, serve, stop within seconds."""

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import Callable

import structlog
import uvicorn

from vigia.api.app import create_app
from vigia.api.config import ApiConfig
from vigia.api.errors import ApiError
from vigia.api.state import state_in

SHUTDOWN_S = 3

log = structlog.get_logger()


class AddressInUseError(ApiError):
    """The address is taken."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"Port {port} of {host} is in use: stop what listens there, or choose another with --port (VIGIA_PORT); 0 picks a free one."
        )


class AddressUnusableError(ApiError):
    """The address cannot be listened on."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"Cannot listen on {host} port {port} ({reason}): choose another with --host and --port (VIGIA_HOST, VIGIA_PORT).")


async def run(config: ApiConfig, listening: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `listening` is told the address once requests are answered.

    Raises AddressInUseError, AddressUnusableError, DatabaseUnavailableError before anything is served.
    """
    with _bind(config) as listener:
        app = create_app(config)
        hub = state_in(app).hub
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                lifespan="off",  # entered here, so that a fault at the start is an exception and not a log line
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )

        def stop() -> None:
            server.should_exit = True
            hub.close()

        # uvicorn hands a signal back after its clean stop; ours are installed so that it then ends here instead of killing the process.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        async with app.router.lifespan_context(app):
            host, port = listener.getsockname()[:2]
            address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
            gc.freeze()  # what is loaded by now stays: a large answer need not wait while all of it is searched for garbage
            log.info("listening", address=address)
            if listening is not None:
                listening(address)
            await server.serve(sockets=[listener])
        log.info("stopped")


def _bind(config: ApiConfig) -> socket.socket:
    """A listening socket: connections wait in it until the app is ready."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressUnusableError(config.host, config.port, error.strerror or str(error)) from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(config.host, config.port) from None
        raise AddressUnusableError(config.host, config.port, error.strerror or str(error)) from None
    return listener
