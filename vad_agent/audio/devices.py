"""Audio devices: lists them, and resolves a name to one of them.

    PortAudio ─┐
    pulse     ─┼─ a process (device_list_worker.py) ─> list_devices() ─> find_device("jabra", Role.CLIENT, …)
    SoundCard ─┘

A name is matched in this order: exactly; as a sink's name, for the client's side (its monitor is
meant); as PortAudio's index; as part of a name or a description. Of equal names in several host
APIs, the best host's device is taken. `find_device` is pure: it only reads the list.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Literal

from vad_agent.errors import DeviceError, install_extra

COMMAND: Sequence[str] = (sys.executable, "-m", "vad_agent.audio.device_list_worker")
LISTING_S = 10.0
"""Seconds: a hanging sound server would block PortAudio's start for ever."""
MOST_NAMED = 5
SEE = "see vad-agent devices"

HOSTS: Sequence[str] = (
    "PulseAudio",
    "Core Audio",
    "Windows WASAPI",
    "ALSA",
    "Windows DirectSound",
    "MME",
    "Windows WDM-KS",
    "JACK Audio Connection Kit",
    "OSS",
)
"""Best first: one device appears under several hosts, and they do not work equally well."""

CABLES = ("blackhole", "cable output", "vb-audio", "stereo mix", "loopback", "soundflower")
"""Inputs of Windows and macOS that capture what is played, although they look like microphones."""

AudioBackend = Literal["portaudio", "pulse", "soundcard"]


class DeviceRole(StrEnum):
    """The purpose of a device."""

    CLIENT = "client"
    """Captures what the headset plays."""
    OPERATOR = "operator"
    """Captures the microphone."""
    PROMPT = "prompt"
    """Plays prompts into the call."""
    MONITOR = "monitor"
    """Also plays prompts to the operator."""

    @property
    def captures(self) -> bool:
        """An input is needed, otherwise an output."""
        return self in (DeviceRole.CLIENT, DeviceRole.OPERATOR)


@dataclass(frozen=True, slots=True)
class Device:
    """An input, an output, or both in one."""

    name: str
    backend: AudioBackend
    host: str
    """Host API in PortAudio's terms; PulseAudio for a sound server's own devices."""
    index: int | None
    """PortAudio's current number; another device may have it later."""
    inputs: int
    """Channels that can be captured."""
    outputs: int
    """Channels that can be played to."""
    rate: int
    """Native rate, Hz."""
    loopback: bool
    """It captures what is played, not a microphone."""
    default: bool
    """Used if no name is given; for a monitor: its sink is the default."""
    description: str = ""
    plays: str = ""
    """For a loopback: the device whose sound it captures, an output or another loopback."""
    id: str = ""
    """The backend's own id, where names are not unique."""

    @property
    def roles(self) -> frozenset[DeviceRole]:
        """Roles it is intended for. If named explicitly, it may serve any role of its direction."""
        roles: set[DeviceRole] = set()
        if self.inputs:
            known = f"{self.name} {self.description}".casefold()
            cable = self.loopback or any(name in known for name in CABLES)
            roles.add(DeviceRole.CLIENT if cable else DeviceRole.OPERATOR)
        if self.outputs:
            roles |= {DeviceRole.PROMPT, DeviceRole.MONITOR}
        return frozenset(roles)

    def fits(self, role: DeviceRole) -> bool:
        """Its direction is the one that the role needs."""
        return bool(self.inputs if role.captures else self.outputs)

    def is_default(self, role: DeviceRole) -> bool:
        """Used for this role if no name is given (of several hosts, the best one's)."""
        cable = (
            role is DeviceRole.CLIENT and not self.loopback
        )  # it would be the default microphone
        return self.default and role in self.roles and not cable

    @property
    def title(self) -> str:
        """Its name on the desktop («Jabra EVOLVE 20»), or its own name if it has no description."""
        return self.description or self.name

    @property
    def label(self) -> str:
        """A unique name; `find_device` accepts it."""
        return f"{self.name}, {self.host}"

    def spec(self) -> dict[str, Any]:
        """The spec for the worker that opens it."""
        return {
            "backend": self.backend,
            "name": self.name,
            "host": self.host,
            "channels": self.inputs or self.outputs,
            "rate": self.rate,
            "index": self.index,
            "id": self.id,
        }

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def list_devices() -> list[Device]:
    """List the current devices, in a process of its own.

    PortAudio lists only the devices that existed at its start, its drivers print to stderr, and a
    hanging sound server would block this process.

    Raises:
        DeviceError: PortAudio is not installed, or the sound system does not answer.
    """
    try:
        asked = subprocess.run(
            COMMAND,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LISTING_S,
        )
    except subprocess.TimeoutExpired:
        problem = (
            f"the sound system does not answer within {LISTING_S:g} s: restart the sound server"
        )
        raise DeviceError(problem) from None
    try:
        answer = json.loads(asked.stdout)
    except ValueError:
        last = asked.stderr.decode(errors="replace").strip().splitlines()[-1:]
        problem = last[0] if last else f"its process ended with status {asked.returncode}"
        raise DeviceError(f"devices cannot be listed: {problem}") from None
    if answer["problem"]:
        raise DeviceError(answer["problem"])
    return [from_record(record) for record in answer["devices"]]


def from_record(record: Mapping[str, Any]) -> Device:
    """The inverse of `Device.record()`."""
    return Device(**record)


def find_device(wanted: str | None, role: DeviceRole, devices: Sequence[Device]) -> Device:
    """The device that `wanted` names; None: the default one for this role.

    Raises:
        DeviceError: no device matches, or several do.
    """
    fitting = [device for device in devices if device.fits(role)]
    if wanted is None:
        return _default(role, fitting)
    name = wanted.strip()
    if not name:
        raise DeviceError(f"{_option(role)}: expected the name of a device, got none: {SEE}")
    for equal in (_same, _same_but_for_case):
        if found := [d for d in fitting if equal(d.name, name) or equal(d.label, name)]:
            return _only(name, role, _best(found))
        if role is DeviceRole.CLIENT and (found := [d for d in fitting if equal(d.plays, name)]):
            return _only(name, role, _best(found))
    if name.isdecimal():
        for device in devices:
            if device.index == int(name):
                if not device.fits(role):
                    raise DeviceError(_wrong_way(name, role, device, devices))
                return device
    part = name.casefold()
    found = [d for d in fitting if part in d.label.casefold() or part in d.description.casefold()]
    meant = [d for d in found if role in d.roles]
    if meant or (found and role is DeviceRole.CLIENT):  # it may be an unknown virtual cable
        return _only(name, role, _best(meant or found))
    for device in devices:
        if _same_but_for_case(device.name, name) or _same_but_for_case(device.label, name):
            raise DeviceError(_wrong_way(name, role, device, devices))
    if found:
        why = f"{found[0].name} gives what is played, no microphone: write its whole name if you mean it"
        raise DeviceError(f"{_option(role)} {name}: {why}")
    raise DeviceError(_unknown(name, role, fitting))


def _same(one: str, other: str) -> bool:
    return one == other


def _same_but_for_case(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _best(found: Sequence[Device]) -> list[Device]:
    """The devices of the best host."""
    best = min(_rank(device) for device in found)
    return [device for device in found if _rank(device) == best]


def _rank(device: Device) -> int:
    if device.backend == "soundcard":
        return 0  # only loopbacks, and PortAudio has none where these are listed
    return HOSTS.index(device.host) if device.host in HOSTS else len(HOSTS)


def _only(name: str, role: DeviceRole, found: Sequence[Device]) -> Device:
    if len(found) == 1:
        return found[0]
    if len({device.label for device in found}) == 1:
        numbers = _listed([str(device.index) for device in found])
        raise DeviceError(f"{_option(role)} {name}: there are several of this name: {numbers}")
    which = _listed([_full(device) for device in found])
    raise DeviceError(f"{_option(role)} {name}: may be any of {which}: write more of the name")


def _full(device: Device) -> str:
    more = "" if device.description in ("", device.name) else f" ({device.description})"
    return f"{device.name}{more}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return "; ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _option(role: DeviceRole) -> str:
    return f"--{role.value}-device"


def _wrong_way(name: str, role: DeviceRole, device: Device, devices: Sequence[Device]) -> str:
    needs, has = ("an input", "an output") if role.captures else ("an output", "an input")
    text = f"{_option(role)} {name}: {device.name} is {has}, and {needs} is needed"
    if not role.captures and (source := _played_by(device, devices)):
        return f"{text}: did you mean {source}, whose sound it gives?"
    return f"{text}: {SEE}"


def _played_by(device: Device, devices: Sequence[Device]) -> str | None:
    """The output whose sound a loopback captures."""
    by_name = {one.name: one for one in devices}
    for _ in devices:  # a remapped source of a monitor of a sink
        source = by_name.get(device.plays)
        if source is None or source.outputs:
            return source.name if source else None
        device = source
    return None


def _unknown(name: str, role: DeviceRole, fitting: Sequence[Device]) -> str:
    names = {device.name.casefold(): device.name for device in fitting}
    close = [names[key] for key in get_close_matches(name.casefold(), names, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    kind = "input" if role.captures else "output"
    return f"{_option(role)} {name}: there is no such {kind}: {hint}{SEE}"


def _default(role: DeviceRole, fitting: Sequence[Device]) -> Device:
    found = [device for device in fitting if device.is_default(role)]
    if found:
        return _best(found)[0]
    if role is DeviceRole.CLIENT:
        raise DeviceError(no_client(sys.platform))
    kind = "microphone" if role is DeviceRole.OPERATOR else "output"
    raise DeviceError(f"no {kind} is the default here: name one with {_option(role)}: {SEE}")


def no_client(platform: str) -> str:
    """Why this system has no default for the client's side, and what to do."""
    if platform == "win32":
        return (
            "the client's side cannot be captured: PortAudio has no loopback on Windows: "
            f"{install_extra('loopback')}, or name a virtual cable with --client-device: {SEE}"
        )
    if platform == "darwin":
        return (
            "the client's side cannot be captured: macOS has no loopback: install BlackHole, "
            f"then --client-device BlackHole: {SEE}"
        )
    return (
        "the client's side cannot be captured: no sound server with a monitor answers: start PulseAudio "
        f"or PipeWire (pipewire-pulse), or name an input with --client-device: {SEE}"
    )
