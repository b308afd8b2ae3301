"""What every record of a JSON file has in common.

Belongs here: the base of the records' models.
Does not: their fields, writing and reading them (support/json_files.py).
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class RecordModel(BaseModel):
    """A record that does not change once it is made, and that refuses fields which it does not know.

    In a file the fields stand in the order in which they are declared; those of a base class that stands last among
    several come first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
