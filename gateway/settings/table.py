"""What every table of the settings is made of: its base class and the types of its values."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.core.quota import MAX_AMOUNT

UNLIMITED = "unlimited"


def _unlimited(value: Any) -> Any:
    return None if value == UNLIMITED else value


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]
FilePath = Annotated[Path, Field(strict=False)]
Ceiling = Annotated[Annotated[int, Field(ge=1, le=MAX_AMOUNT)] | None, BeforeValidator(_unlimited)]
UnitCeiling = Annotated[Annotated[int, Field(ge=0, le=MAX_AMOUNT)] | None, BeforeValidator(_unlimited)]


class SettingsTable(BaseModel):
    """One table of the file: frozen, no unknown names, no guessing of types ("8080" is no port)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
