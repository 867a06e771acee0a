"""What every process may be told, from the environment (`VIGIA_*`) and the command line.

Built at the entry point and passed; no room imports it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from vigia.errors import ConfigError

OPTIONS = {
    "home": "--home",
    "dsn": "--dsn",
    "broker": "--broker",
    "host": "--host",
    "port": "--port",
    "ingest_topics": "--topics",
    "ingest_share": "--share",
    "ingest_watch_host": "--watch-host",
    "ingest_watch_port": "--watch-port",
}  # the others are variables only


class Settings(BaseSettings):
    """Settings shared by all commands. A command-line option wins over the environment."""

    model_config = SettingsConfigDict(env_prefix="VIGIA_", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".vigia"), description="Folder that holds everything Vigía makes on this machine.")
    dsn: str | None = Field(default=None, description="PostgreSQL to use instead of the embedded one.")
    broker: str | None = Field(
        default=None, description="MQTT broker to use instead of the embedded one: mqtt[s]://[user:password@]host:port"
    )
    broker_ca: Path | None = Field(default=None, description="CA certificate file for mqtts.")
    broker_cert: Path | None = Field(default=None, description="Client certificate file for mqtts.")
    broker_key: Path | None = Field(default=None, description="Client key file for mqtts.")
    host: str = Field(default="127.0.0.1", description="Address the api and portal listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port the api and portal listen on; 0 picks a free one.")
    ingest_topics: str = Field(
        default="default",
        description='Table of the plain topics that ingest reads: a file, "default" for the one that comes with Vigía, "none" for none.',
    )
    ingest_share: str | None = Field(default=None, description="Name under which several ingest workers share the data messages.")
    ingest_watch_host: str = Field(default="127.0.0.1", description="Address on which ingest tells how it is.")
    ingest_watch_port: int | None = Field(
        default=None, ge=0, le=65535, description="Port on which ingest tells how it is; none by default, 0 picks a free one."
    )
    clock: Literal["wall", "fleet"] = Field(
        default="wall", description="What time it is: the wall clock's, or for a replayed fleet that of its newest reading."
    )
    retention_raw_days: int | None = Field(default=None, description="For how many days readings are kept; all of them by default.")
    retention_1m_days: int | None = Field(default=None, description="For how many days one-minute rollups are kept.")
    retention_1h_days: int | None = Field(default=None, description="For how many days one-hour rollups are kept.")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    @field_validator("ingest_share", "ingest_watch_port", mode="before")
    @classmethod
    def _nothing_is_none(cls, value: object) -> object:
        # A compose file can leave a variable empty, but not leave it out.
        return None if value == "" else value

    @field_validator("ingest_share")
    @classmethod
    def _share_is_one_level(cls, value: str | None) -> str | None:
        if value is not None and set(value) & set("/+#\0"):
            raise ValueError("the name of a share has no /, + or #")
        return value


def load_settings(**options: object) -> Settings:
    """Settings from the environment, overridden by the `options` that are not None.

    Raises ConfigError naming the variable or option, its value's fault and the remedy.
    """
    try:
        return Settings(**{key: value for key, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        name = f"VIGIA_{key.upper()} ({OPTIONS[key]})" if key in OPTIONS else f"VIGIA_{key.upper()}"
        raise ConfigError(
            f"{name} = {first['input']!r}: {first['msg'].removeprefix('Value error, ')}. Give it a valid value or leave it out."
        ) from None
