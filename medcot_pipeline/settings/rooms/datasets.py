"""Settings of what training reads."""

from pydantic import Field

from medcot_pipeline.settings.section import Count, Section


class SftSettings(Section):
    """The training rows."""

    max_tokens: Count = Field(2048, description="longest row, tokens; longer rows are left out and counted, never cut")
