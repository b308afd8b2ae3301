"""Settings of what takes over."""

from typing import Literal

from pydantic import Field

from medcot_pipeline.settings.section import Section


class PromotionSettings(Section):
    """What an adapter must show, against the base and against the promoted one, to take over.

    Ends of 95 % intervals are held against the margins; a figure of fewer than report.least_n cases never suffices.
    """

    max_perplexity_ratio: float = Field(
        1.0, gt=0.0, description="the upper end of its perplexity over the other's lies below this"
    )
    min_net_preference: float = Field(
        -0.2, ge=-1.0, le=1.0, description="least lower end of the net preference; below 0 is how much worse may pass"
    )
    min_rules_change: float = Field(
        -0.2,
        ge=-1.0,
        le=1.0,
        description="least lower end of the change in the share of prompts whose constraints are kept, strictly",
    )
    min_answered_change: float = Field(
        -0.1, ge=-1.0, le=1.0, description="least lower end of the change in the share of answers that are not empty"
    )
    unmeasured: Literal["allow", "hold"] = Field(
        "allow", description="what was not measured, such as preference without a judge, passes or holds back"
    )
