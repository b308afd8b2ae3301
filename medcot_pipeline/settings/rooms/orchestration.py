"""Settings of passes that start by themselves."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, field_validator

from medcot_pipeline.settings.keys import Key
from medcot_pipeline.settings.section import NOT_IDENTITY, Count, Section


class AutomationSettings(Section):
    """When a pass starts by itself, and who is told that one failed; changes nothing that is computed."""

    cron: str = Field(
        "0 3 * * 0", description="when the schedule looks for stale assets: minute hour day month weekday"
    )
    timezone: str = Field("UTC", description="time zone of cron, such as Asia/Shanghai")
    interval_s: Count = Field(60, description="seconds between two looks of a sensor, at least")
    settle_s: int = Field(
        300, ge=0, description="seconds for which a new file stays unchanged before a sensor takes it"
    )
    max_attempts: Count = Field(3, description="runs that fail in the same state before schedule and sensors give up")
    max_age_days: Count = Field(35, description="days since its last pass after which an asset counts as not fresh")
    webhook_url: Annotated[Key, NOT_IDENTITY] = Field(
        SecretStr(""), description="told of failed runs; from the environment only, never stored; empty: nobody is told"
    )

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("no such time zone; such as UTC or Asia/Shanghai")
        return name

    @field_validator("webhook_url")
    @classmethod
    def _web_address(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value() and not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("a web address begins with https:// or http://")
        return url
