"""Gateways: their leave to come in, and the certificates by which they are known."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request, status
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from vigia.api.fields import MAX_INT, Id, Moment, Name, Text
from vigia.api.problems import declared
from vigia.api.session import ServiceManager, Transaction
from vigia.api.state import state_of
from vigia.authority.requests import LONGEST_REQUEST
from vigia.domain.errors import InvalidValueError, TokenRefusedError
from vigia.sparkplug import statements
from vigia.store.sessions import FRONT_DESK
from vigia.workflows import check_in_edge, enroll_edge, make_edge_token, revoke_edge
from vigia.workflows.report_configuration import Report

router = APIRouter(prefix="/api/v1", tags=["gateways"])

CertificateRequest = Annotated[str, StringConstraints(max_length=LONGEST_REQUEST, pattern=r"^[^\x00]*$")]


class TokenWanted(BaseModel):
    """How long the token may wait to be used."""

    model_config = ConfigDict(extra="forbid")

    valid_hours: int = Field(default=24, ge=1, le=720, examples=[24])


class EdgeToken(BaseModel):
    """Leave to enrol once. The token is shown once."""

    token: str = Field(description="For `vigia edge enroll --token`.", examples=["vge_4n0YbJ"])
    expires_at: datetime


class Revocation(BaseModel):
    """Why a gateway is shut out."""

    model_config = ConfigDict(extra="forbid")

    because: Name = Field(description="For the record.", examples=["stolen"])


class Revoked(BaseModel):
    """What counts no more."""

    certificates: int = Field(description="How many certificates and requests were revoked.", examples=[1])


class EnrolmentWanted(BaseModel):
    """What a new gateway knows: its token, and the key it has made."""

    model_config = ConfigDict(extra="forbid")

    token: Name = Field(examples=["vge_4n0YbJ"])
    request: CertificateRequest = Field(
        description="PKCS #10 in PEM, for a key on the curve P-256.", examples=["-----BEGIN CERTIFICATE REQUEST-----"]
    )


class Enrolment(BaseModel):
    """Who the gateway is from now on, and where it speaks."""

    group_id: str = Field(examples=["aurora"])
    node_id: str = Field(examples=["aurora-bcn"])
    certificate: str | None = Field(description="PEM, the authority's certificate behind it; null until it is signed: ask again.")
    broker: str | None = Field(
        description="Address of the MQTT broker; null when the gateway's own file must name it.",
        examples=["mqtts://vigia.example.com:8883"],
    )
    broker_ca: str | None = Field(description="PEM of who vouches for the broker; null for the authorities of the gateway's system.")


class ConfigurationFailure(BaseModel):
    """A version that a gateway tried and left."""

    version: int = Field(ge=1, le=MAX_INT)
    why: Text


class ConfigurationReport(BaseModel):
    """What a gateway runs that takes its configuration from here."""

    version: int | None = Field(ge=1, le=MAX_INT)
    failed: ConfigurationFailure | None = None


class Statement(BaseModel):
    """What a gateway says about itself. Fields that this server does not know are a newer gateway's."""

    at: Moment
    request: CertificateRequest | None = None
    configuration: ConfigurationReport | None = None


class CheckInWanted(BaseModel):
    """A gateway's statement, signed with the key of its certificate."""

    model_config = ConfigDict(extra="forbid")

    serial_number: str = Field(pattern="^[0-9a-f]{1,40}$", description="Of its certificate, hexadecimal.", examples=["5d0f"])
    statement: str = Field(
        max_length=20_000,
        description="JSON as text, because the signature is over its bytes: `at`, the gateway's clock; `request`, PKCS #10 in PEM for its "
        "next certificate, or null; `configuration`, of a gateway that takes it from here: the `version` that it runs, or null, and "
        "`failed`, the newest `version` that it tried and left, and `why`, or null.",
        examples=['{"at": "2026-01-01T00:00:00Z", "request": null}'],
    )
    signature: Base64Bytes = Field(
        max_length=200, description='ECDSA with SHA-256 over "vigia check-in\\n" and the statement, DER in base64.', examples=["MEUCIQ=="]
    )


class Configuration(BaseModel):
    """A version of a gateway's configuration."""

    version: int = Field(examples=[7])
    toml: str
    signature: str = Field(description="Of the authority, over the gateway's name, the version and the text; DER in base64.")


class CheckedIn(BaseModel):
    """What waits for the gateway."""

    configuration: Configuration | None = Field(description="What it is to run; null while there is nothing for it.")

    certificate: str | None = Field(
        description="The one it asked for, PEM with the authority's behind it; null until it is signed: ask again."
    )


@router.post(
    "/edge-nodes/{edge_node_id}/tokens",
    status_code=status.HTTP_201_CREATED,
    operation_id="make_edge_token",
    responses=declared(403, 404),
)
async def make_token(edge_node_id: Id, wanted: TokenWanted, caller: ServiceManager, tx: Transaction) -> EdgeToken:
    """Let a gateway enrol once as this edge node. A token made before that was not used is void."""
    made = await make_edge_token.handle(tx, edge_node_id, timedelta(hours=wanted.valid_hours), datetime.now(UTC), caller.account_id)
    return EdgeToken(token=made.token, expires_at=made.expires_at)


@router.post("/edge-nodes/{edge_node_id}/revoke", operation_id="revoke_edge", responses=declared(403, 404, 409))
async def revoke(edge_node_id: Id, wanted: Revocation, caller: ServiceManager, tx: Transaction) -> Revoked:
    """Shut the gateway out: no certificate and no token of it counts any more. Its session ends within seconds."""
    revoked = await revoke_edge.handle(tx, edge_node_id, wanted.because, datetime.now(UTC), caller.account_id)
    return Revoked(certificates=revoked)


@router.post("/enrolments", operation_id="enroll_edge", responses=declared(401))
async def enroll(wanted: EnrolmentWanted, request: Request) -> Enrolment:
    """Use a token: for the gateway itself, which needs no session. Until the certificate is signed, ask again with the same key."""
    state = state_of(request)
    async with state.database.transaction(FRONT_DESK) as tx:
        found = await enroll_edge.handle(tx, wanted.token, wanted.request, datetime.now(UTC))
    if isinstance(found, TokenRefusedError):
        raise found
    return Enrolment(
        group_id=found.group_id,
        node_id=found.node_id,
        certificate=found.chain,
        broker=state.config.gateway_broker,
        broker_ca=state.config.gateway_broker_ca,
    )


@router.post("/check-ins", operation_id="check_in_edge", responses=declared(401, 409))
async def check_in(wanted: CheckInWanted, request: Request) -> CheckedIn:
    """Say how it is and get what waits: for an enrolled gateway, which needs no session."""
    try:
        statement = Statement.model_validate_json(wanted.statement)
    except ValidationError:
        raise InvalidValueError("The statement does not have the form the documentation gives.") from None
    said = check_in_edge.CheckIn(
        serial_number=wanted.serial_number,
        message=statements.check_in(wanted.statement),
        signature=wanted.signature,
        at=statement.at,
        request=statement.request,
        report=_report(statement.configuration),
    )
    async with state_of(request).database.transaction(FRONT_DESK) as tx:
        found = await check_in_edge.handle(tx, said, datetime.now(UTC))
    offered = found.offered
    return CheckedIn(
        certificate=found.renewed,
        configuration=None
        if offered is None
        else Configuration(version=offered.version, toml=offered.toml, signature=base64.b64encode(offered.signature).decode()),
    )


def _report(said: ConfigurationReport | None) -> Report | None:
    if said is None:
        return None
    return Report(said.version, said.failed.version, said.failed.why) if said.failed is not None else Report(said.version)
