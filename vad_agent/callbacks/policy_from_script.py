"""Converts the script's callback settings into `model.Policy`."""

from __future__ import annotations

from datetime import time
from zoneinfo import ZoneInfo

from vad_agent.callbacks.model import Policy
from vad_agent.common.time_zones import machine_zone
from vad_agent.script.settings import Settings


def policy_of(settings: Settings) -> Policy:
    """The policy that the settings define."""
    table = settings.callbacks
    quiet = tuple(time.fromisoformat(text) for text in table.quiet_hours)
    return Policy(
        zone=ZoneInfo(table.zone) if table.zone else machine_zone(),
        zone_is_machines=not table.zone,
        attempts=table.attempts,
        gaps_s=table.gaps_s,
        failed_pauses_s=table.failed_pauses_s,
        operator_pause_s=table.operator_pause_s,
        stand_ins=table.stand_ins,
        offer_s=table.offer_s,
        quiet=(quiet[0], quiet[1]) if quiet else None,
        overdue_s=table.overdue_s,
        farewell_s=table.farewell_s,
        answer_limit_s=table.unreported_s,
        region=table.region,
        allow_numbers=table.allow_numbers,
    )
