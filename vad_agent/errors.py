"""Every error of the product, on one screen. Who is at fault is in the class; what to do is in the text.

    VadAgentError
    ├── FrameError      the caller fed something that is not one 20 ms frame
    ├── EventError      a call-control event that cannot be understood
    ├── SettingsError   a script or settings file is wrong (all its errors at once)
    ├── RecordingError  an audio file cannot be read or is not what it must be
    ├── WeightsError    the network's weights are damaged: the installation is
    ├── OutputError     a trace or a report cannot be written
    ├── DeviceError     an audio device is not there, is ambiguous, or cannot be opened
    ├── VoiceError      a phrase cannot be rendered, or what came is not the phrase
    ├── RuleError       a change of a callback that its state does not allow
    ├── NumberError     a telephone number that cannot be rung
    ├── StoreError      the callbacks' database cannot be used, or not now
    ├── EngineError     what arms the attempts cannot be used
    ├── DialError       what dials at the centre refused, or cannot be understood
    └── MissingExtra    an optional package is needed: the text names the extra to install

Texts are one line each: what, where, what was expected. `SettingsError` is one line per error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class VadAgentError(Exception):
    """Base of all errors that the product raises on purpose."""


class FrameError(VadAgentError, ValueError):
    """Not one 20 ms frame of int16 mono at the session's rate; the session is unchanged."""


class EventError(VadAgentError, ValueError):
    """An event of an unknown kind or with a wrong field; the session is unchanged."""


class SettingsError(VadAgentError, ValueError):
    """A wrong script file or settings.

    `problems`: one line each, "key: what was expected, what was found"; `source`: the file's name.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class RecordingError(VadAgentError):
    """A recording that cannot be used: `source` is the file, the text says why."""

    def __init__(self, source: str, problem: str) -> None:
        self.source = source
        self.problem = problem
        super().__init__(f"{source}: {problem}")


class WeightsError(VadAgentError):
    """The file of the network's weights is damaged or missing: install the package anew."""


class OutputError(VadAgentError):
    """A file that cannot be written: no room, no permission, no such folder."""


class DeviceError(VadAgentError):
    """An audio device that cannot be used; the text lists what there is."""


class VoiceError(VadAgentError):
    """A phrase that cannot be voiced: no engine, no Russian voice, or silence came of it."""


class RuleError(VadAgentError, ValueError):
    """A callback cannot be changed so: it has ended, or its time is none; it is unchanged."""


class NumberError(VadAgentError, ValueError):
    """Not a telephone number that can be rung."""


class StoreError(VadAgentError):
    """The database of callbacks is damaged, locked, full, away, or of another version."""


class EngineError(VadAgentError):
    """The engine of attempts cannot start, or not take work now; the store has everything."""


class DialError(VadAgentError):
    """What dials at the centre refused, did not answer, or said what cannot be understood."""


class MissingExtra(VadAgentError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(f"{what} needs {package}: pip install 'vad-agent[{extra}]'")


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Imports of an optional package: `MissingExtra` tells which extra brings it.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), name, what) from error
