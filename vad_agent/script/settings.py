"""The settings: a script file merged over the built-in one, validated as a whole and compiled once.

    haieronline.toml ─┐
                      ├─ merge ─ check ─> Settings ─ .script ─> core.script.Script
    script.toml ──────┘          (seconds)            (frames)

Values that a file does not contain come from the built-in script. Lists are replaced, not joined.
"""

from __future__ import annotations

import math
import os
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from vad_agent.common.toml_file import Toml, merge, parse, read, write
from vad_agent.core.actions import Reason
from vad_agent.core.frames import FRAMES_PER_SECOND, Channel, frames
from vad_agent.core.script import ROWS, Row, Scenario, Script, Step, Timing, Window
from vad_agent.errors import SettingsError
from vad_agent.script.schema import PromptTable, Tables
from vad_agent.script.schema import ScenarioTable as ScenarioTable
from vad_agent.script.validation import problems, recording_frames

if TYPE_CHECKING:
    from vad_agent.core.endpointer_port import EndpointerPort

BUILT_IN = "built-in"
BUILT_IN_FILE = Path(__file__).with_name("haieronline.toml")


class Settings(Tables):
    """A script: what is said, when, and what follows. Times in seconds, as in the file.

    >>> Settings().prompts["not_heard"].window_s
    (2.0, 3.0)
    >>> Settings(shop="Мой магазин").shop
    'Мой магазин'

    Raises:
        SettingsError: the given values are not valid over the built-in script; all errors at once.
    """

    _source: str = PrivateAttr(BUILT_IN)
    _recorded: dict[str, int] = PrivateAttr(default_factory=dict)

    def __init__(self, /, **tables: Any) -> None:
        source = "arguments" if tables else BUILT_IN
        super().__init__(**_effective(tables, source, Path()))
        self._source = source
        # Read now: a call must not wait for files, and a file may be gone by then.
        recordings = self.voice.recordings.items()
        self._recorded = {name: recording_frames(Path(file)) for name, file in recordings}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Settings:
        """Load the script file at `path` (TOML, UTF-8, at most 1 MB), merged over the built-in script.

        Raises:
            SettingsError: it cannot be read, or is not valid: one line for each error.
        """
        source = os.fspath(path)
        settings = cls(**_effective(read(source), source, Path(source).parent))
        settings._source = source
        return settings

    def __eq__(self, other: object) -> bool:
        """The same script, regardless of its source."""
        return isinstance(other, Settings) and self.model_dump() == other.model_dump()

    @property
    def source(self) -> str:
        """The file's name as given, "built-in", or "arguments"."""
        return self._source

    @cached_property
    def script(self) -> Script:
        """The script compiled for the core: frames instead of seconds, rows instead of tables."""
        timing = self.timing.model_dump().items()
        return Script(
            scenarios={reason: self._scenario(reason, row) for reason, row in ROWS.items()},
            timing=Timing(**{name.removesuffix("_s"): frames(value) for name, value in timing}),
            shop=self.shop,
            operator_name=self.operator_name.strip() or None,
        )

    def _scenario(self, reason: Reason, row: Row) -> Scenario:
        table: ScenarioTable = getattr(self.scenarios, reason.value)
        return Scenario(
            reason=reason,
            trigger=row.trigger,
            phase=row.phase,
            clock=row.clock,
            client_resets=row.client_resets,
            steps=tuple(_step(name, self.prompts[name]) for name in table.ladder),
            callback_in_s=table.callback_in_s,
            opening=table.opening,
        )

    def endpointer(self, channel: Channel, sample_rate: int) -> EndpointerPort:
        """Return a new endpointer for one channel of one call; `sample_rate` in Hz.

        Raises:
            FrameError: a sample rate that is not supported.
            MissingExtra: the configured detector needs a package that is not installed.
            WeightsError: the network's weights are damaged or missing.
        """
        # Imported here, because it loads numeric libraries that `--help` does not need.
        from vad_agent.detection.endpointer import Endpointer
        from vad_agent.detection.neural_network import load
        from vad_agent.detection.third_party_detectors import Earshot, Silero, WebRtc

        match self.hearing.detector:
            case "webrtcvad":
                return Endpointer(sample_rate, detector=WebRtc(), network=None)
            case "silero":
                return Endpointer(sample_rate, detector=Silero(), network=load())
            case "network":
                return Endpointer(sample_rate, detector=None, network=load())
        missing = self.detector_missing
        earshot = None if missing else Earshot()
        return Endpointer(sample_rate, detector=earshot, network=load(), detector_missing=missing)

    @cached_property
    def detector_missing(self) -> str | None:
        """The configured detector if it cannot be imported here (only the network then runs); None:
        none.
        """
        from vad_agent.detection.third_party_detectors import earshot

        lacks = self.hearing.detector == "earshot" and earshot() is None
        return "earshot" if lacks else None

    def phrase_frames(self, prompt_id: str, text: str) -> int:
        """Length of the prompt in frames, at least 1: from its recording, else from the rate of speech."""
        recorded = self._recorded.get(prompt_id)
        if recorded is not None:
            return recorded
        return max(1, math.ceil(len(text) * FRAMES_PER_SECOND / self.voice.chars_per_s))

    def to_toml(self) -> str:
        """The whole script as a TOML file (UTF-8) that loads to equal settings from any folder."""
        return write(self.model_dump())


def _step(name: str, prompt: PromptTable) -> Step:
    dead = prompt.dead_line_window_s
    return Step(
        prompt=name,
        text=prompt.text,
        window=_window(prompt.window_s, prompt.aim_s),
        dead_line_window=_window(dead, None) if dead else None,
    )


def _window(window_s: tuple[float, float], aim_s: float | None) -> Window:
    lo, hi = window_s
    return Window(
        lo=frames(lo), aim=frames((lo + hi) / 2 if aim_s is None else aim_s), hi=frames(hi)
    )


@cache
def _built_in() -> Toml:
    return parse(BUILT_IN_FILE.read_text(encoding="utf-8"), BUILT_IN)


def _effective(tables: Toml, source: str, folder: Path) -> Toml:
    """The tables merged over the built-in ones and validated, with absolute paths of recordings.

    Raises:
        SettingsError: all their problems.
    """
    table = merge(_built_in(), tables)
    if found := problems(table, _built_in(), folder):
        raise SettingsError(source, found)
    recordings = table["voice"]["recordings"]
    absolute = {name: str((folder / file).absolute()) for name, file in recordings.items()}
    return merge(table, {"voice": {"recordings": absolute}})
