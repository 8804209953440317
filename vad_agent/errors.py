"""All errors of the product. The class names the cause; the text names the remedy.

    VadAgentError
    ├── FrameError      the input is not one 20 ms frame
    ├── EventError      a call-control event that cannot be understood
    ├── SettingsError   a script or settings file is wrong (all its errors at once)
    ├── RecordingError  an audio file cannot be read or is not what it must be
    ├── WeightsError    the network's weights are damaged: so is the installation
    ├── OutputError     a trace or a report cannot be written
    ├── DeviceError     an audio device is missing, ambiguous, or cannot be opened
    ├── MediaError      a peer's bytes are not the media protocol that they should be
    ├── VoiceError      a phrase cannot be rendered, or the result is not the phrase
    ├── RuleError       a change of a callback that its state does not allow
    ├── NumberError     a telephone number that cannot be dialled
    ├── StoreError      the callbacks' database cannot be used (now)
    │   └── UnstorableError   it will never accept these values
    ├── DialError       the centre's telephony refused, or cannot be understood
    └── MissingExtra    an optional package is needed: the text names the extra to install

Texts are one line each: what, where, what was expected. `SettingsError` has one line per error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class VadAgentError(Exception):
    """Base of all errors that the product raises intentionally."""


class FrameError(VadAgentError, ValueError):
    """Not one 20 ms frame of int16 mono at the session's rate; the session is unchanged."""


class EventError(VadAgentError, ValueError):
    """An event of an unknown kind or with an invalid field; the session is unchanged."""


class SettingsError(VadAgentError, ValueError):
    """An invalid script file or settings.

    `problems`: one line each, "key: what was expected, what was found"; `source`: the file's name.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class RecordingError(VadAgentError):
    """A recording that cannot be used. `source` is the file; the text says why."""

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        self.problem = problem
        super().__init__(f"{source}: {problem}")


class WeightsError(VadAgentError):
    """The file of the network's weights is damaged or missing: reinstall the package."""


class OutputError(VadAgentError):
    """A file that cannot be written: no space, no permission, no such folder."""


class DeviceError(VadAgentError):
    """An audio device that cannot be used; the text lists the available ones."""


class MediaError(VadAgentError, ValueError):
    """A media stream of a PBX that breaks its protocol; its connection is closed, other calls go on."""


class VoiceError(VadAgentError):
    """A phrase that cannot be voiced: no engine, no Russian voice, or the result is silence."""


class RuleError(VadAgentError, ValueError):
    """The callback cannot be changed this way: it has ended, or its time is not valid; it is unchanged."""


class ColleagueError(RuleError):
    """The callback is another operator's; it is unchanged."""


class NumberError(VadAgentError, ValueError):
    """A telephone number that cannot be dialled."""


class StoreError(VadAgentError):
    """The callback database is damaged, locked, full, unavailable, or of another version."""


class UnstorableError(StoreError):
    """The database will never accept these values: sending them again does not help."""


class DialError(VadAgentError):
    """The centre's telephony refused, did not answer, or gave an answer that cannot be understood."""


def install_extra(name: str) -> str:
    """How to install an extra: vad-agent is on no package index, so from its checkout."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f'{python} -m pip install ".[{name}]" in the checkout'


class MissingExtra(VadAgentError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(f"{what} needs {package}: {install_extra(extra)}")


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Wraps imports of an optional package: `MissingExtra` names the extra that provides it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), name, what) from error
