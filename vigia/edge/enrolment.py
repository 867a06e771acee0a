"""A gateway becomes known to its server: it makes a key, and shows a one-time token for a certificate."""

import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from vigia.edge import EdgeError
from vigia.edge.identity import Identity, Place, load, new_request, take_certificate, take_place

PATIENCE_S = 60.0
ASK_EVERY_S = 0.5
TIMEOUT_S = 10.0


class EnrolmentError(EdgeError):
    """The gateway could not be enrolled."""


def enroll(server: str, token: str, folder: Path, ca: Path | None = None) -> Identity:
    """Enrol this gateway at the server (its address, http or https) and keep the identity in `folder`.

    `ca` is a PEM file of who vouches for an https server; None for the system's authorities. It can be repeated after a failure: the key
    in the folder and its token stay good. Raises EnrolmentError, or EdgeError for a folder that cannot be written.
    """
    address = server.rstrip("/")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
        raise EnrolmentError(f"{server!r} is no server: write https://host or http://host:port")
    request = new_request(folder)
    with client(address, ca) as http:
        said = _ask_until_signed(http, {"token": token, "request": request})
    try:
        server_ca = None if ca is None else ca.read_text()
        place = Place(address, server_ca, said["group_id"], said["node_id"], said["broker"], said["broker_ca"])
    except (KeyError, TypeError):
        raise EnrolmentError(f"{address} does not answer like Vigía; check the address") from None
    take_place(folder, place)
    take_certificate(folder, said["certificate"])
    return load(folder)


def client(server: str, ca: Path | None = None) -> httpx.Client:
    """A connection to the server; `ca` as for `enroll`. Raises EnrolmentError when that file is none."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise EnrolmentError(f"{ca} cannot be used ({error}); name a PEM file of who vouches for the server") from None
    return httpx.Client(base_url=server, verify=context, timeout=TIMEOUT_S)


def _ask_until_signed(http: httpx.Client, wanted: dict[str, str]) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = post(http, "/api/v1/enrolments", wanted)
        if said.get("certificate"):
            return said
        time.sleep(ASK_EVERY_S)
    raise EnrolmentError("the token is good, but nobody signs certificates: see that `vigia gate run` runs at the server, then enrol again")


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The server's answer. Raises EnrolmentError with its reason, or why there is none."""
    try:
        answer = http.post(path, json=body)
        said = answer.json()
    except httpx.HTTPError as error:
        raise EnrolmentError(f"{http.base_url} cannot be reached ({error}); check the address and the line") from None
    except ValueError:
        raise EnrolmentError(f"{http.base_url} does not answer like Vigía; check the address") from None
    if not isinstance(said, dict) or not answer.is_success:
        detail = said.get("detail") if isinstance(said, dict) else None
        raise EnrolmentError(f"the server refuses: {detail or f'status {answer.status_code}'}")
    return said
