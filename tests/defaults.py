"""What tests take from the config schema's defaults: a step's settings, and a session's domains."""

from __future__ import annotations

from typing import Any

from spikeline.settings.steps import completed
from spikeline.sources.domains import Domains, domains_of


def settings(step: str, **given: Any) -> dict[str, Any]:
    """Complete settings of a step, as its job would get them."""
    return completed(step, given)


def blocks(duration: float, where: str = "session", **split: Any) -> Domains:
    """The domains of a session of so many seconds."""
    return domains_of(settings("convert-spikes", split=split)["split"], duration, where)
