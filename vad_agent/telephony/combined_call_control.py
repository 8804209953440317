"""The call controls of one process: made from the options, and used as one.

ARI, AMI ──────────────────> AsteriskControl, AmiControl ─┐
POST /events, /mango/… ────> SignedEvents, MangoControl ──┴─> tell(TapEvent …) ──> CallRouter
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from vad_agent.callbacks.dialers.mango_signing import MangoKeys
from vad_agent.telephony.ami_control import AmiControl
from vad_agent.telephony.asterisk_control import APP, AsteriskControl
from vad_agent.telephony.call_control import CallControl, TapEvent
from vad_agent.telephony.event_hooks import EventHook, SignedEvents
from vad_agent.telephony.mango_control import MangoControl

MANGO_URL = "https://app.mango-office.ru"


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """Which controls there are. None: not this one."""

    ari: str | None = None
    """Asterisk's HTTP address without /ari."""
    ari_user: str = ""
    ari_password: str = field(default="", repr=False)
    ami: tuple[str, int] | None = None
    ami_user: str = ""
    ami_secret: str = field(default="", repr=False)
    events: tuple[str, int] | None = None
    """Address of the listener for signed JSON and Mango's webhooks."""
    events_secret: str = field(default="", repr=False)
    """Empty: no signed JSON."""
    events_url: str | None = None
    """Where the sender of signed JSON takes commands."""
    mango: MangoKeys | None = None
    mango_url: str = MANGO_URL


class ControlGroup:
    """All controls as one `CallControl`. A command goes to each: only the one that knows the tap acts."""

    def __init__(self, controls: Mapping[str, CallControl]) -> None:
        self.controls = controls
        """By name."""

    @property
    def connected(self) -> bool:
        """Each of them is. While one is away, a call may be its, and is recognized by ear."""
        return bool(self.controls) and all(one.connected for one in self.controls.values())

    @property
    def waiting(self) -> int:
        """Commands that are not carried out yet."""
        return sum(one.waiting for one in self.controls.values())

    def start(self) -> None:
        """Connect in the background."""
        for one in self.controls.values():
            one.start()

    def hang_up(self, tap: str) -> None:
        """End the client's side of this tap's call."""
        for one in self.controls.values():
            one.hang_up(tap)

    def tap(self, tap: str) -> None:
        """Begin a new stream of a call that has none."""
        for one in self.controls.values():
            one.tap(tap)

    def close(self) -> None:
        """Receive no more."""
        for one in self.controls.values():
            one.close()


def make_controls(
    options: ControlOptions,
    tell: Callable[[Sequence[TapEvent]], None],
    *,
    media: str,
    index: int = 0,
) -> tuple[ControlGroup, dict[str, EventHook]]:
    """The controls, and those that take posted events, by path. `media`: HOST:PORT at which Asterisk
    reaches our listener. `index`: of this process among several.

    Raises:
        SettingsError: an address or a secret is not valid.
    """
    controls: dict[str, CallControl] = {}
    hooks: dict[str, EventHook] = {}
    if options.ari is not None:
        auth = options.ari_user, options.ari_password
        app = f"{APP}-{index}" if index else APP  # the events of one go to one connection
        controls["ari"] = AsteriskControl(options.ari, auth, tell, media=media, app=app)
    if options.ami is not None:
        auth = options.ami_user, options.ami_secret
        controls["ami"] = AmiControl(*options.ami, auth, tell, media=media)
    if options.events is not None and options.events_secret:
        signed = SignedEvents(options.events_secret, tell, url=options.events_url)
        controls["events"] = hooks["events"] = signed
    if options.events is not None and options.mango is not None:
        mango = MangoControl(options.mango, options.mango_url, tell)
        controls["mango"] = hooks["mango"] = mango
    return ControlGroup(controls), hooks
