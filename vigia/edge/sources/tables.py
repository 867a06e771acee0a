"""What the configuration tables of sources have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from vigia.sparkplug import TopicError
from vigia.sparkplug.topics import check_id


class SourceTable(BaseModel):
    """A table of the configuration: a setting that it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _fits_a_topic(value: str) -> str:
    try:
        return check_id("the id", value)
    except TopicError as error:
        raise ValueError(str(error)) from None


DeviceId = Annotated[str, AfterValidator(_fits_a_topic)]
"""A device id as it can stand in a topic."""
