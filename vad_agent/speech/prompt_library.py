"""The script's prompts as sound, ready before they are due.

    the operator's own recording ─┐
    memory ───────────────────────┼─> get()          never blocks
    cache ────────────────────────┘
    engine (a process) ──> prepare(), in the background ──> memory, cache

A phrase with the client's name is kept only in memory, so that no name reaches the disk.
"""

from __future__ import annotations

import subprocess
import threading
import wave
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vad_agent.core.script import Script, fill
from vad_agent.errors import VoiceError
from vad_agent.speech.phrase_cache import PhraseCache, content_of, key_of, read_phrase
from vad_agent.speech.text_to_speech import LIMIT_S, SynthesisRequest, end, render

NAME = "{client_name}"


class VoiceSettings(Protocol):
    """How prompts sound."""

    @property
    def engine_voice(self) -> str:
        """The speech engine's voice: its name, or a language, such as ru."""

    @property
    def rate_wpm(self) -> int:
        """Words per minute."""

    @property
    def loudness_lufs(self) -> float:
        """LUFS (BS.1770) of every phrase, including recorded ones."""

    @property
    def recordings(self) -> Mapping[str, str]:
        """Prompt → audio file, absolute path."""


class PhraseSettings(Protocol):
    """The part of `vad_agent.script.settings.Settings` that the library needs."""

    @property
    def script(self) -> Script:
        """The script, compiled."""

    @property
    def voice(self) -> VoiceSettings:
        """The voice settings."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase as sound; `pcm`: int16 little-endian mono at 48 kHz."""

    text: str
    pcm: bytes
    recorded: bool
    """It is the operator's own recording."""


class PromptLibrary:
    """The phrases of one script. `folder`: the cache's; None: the user's."""

    def __init__(
        self, settings: PhraseSettings, folder: Path | None = None, *, limit_s: float = LIMIT_S
    ) -> None:
        self._settings = settings
        self._cache = PhraseCache(folder)
        self._limit_s = limit_s
        self._ready: dict[tuple[str, str], Phrase] = {}  # (prompt, text); a recording's text is ""
        self._names: Counter[str] = Counter()  # of the clients in calls
        self._personal: dict[str, list[tuple[str, str]]] = {}  # name → ready phrases with it
        self._background = ThreadPoolExecutor(1, "phrases")
        self._lock = threading.Lock()  # one engine process at a time
        self._child: subprocess.Popen[bytes] | None = None  # the engine's process while it renders
        self.closed = False

    # -- during a call
    # ------------------------------------------------------------------------------

    def get(self, prompt_id: str, text: str) -> Phrase | None:
        """The phrase, if it is ready in memory. Takes no time."""
        return self._ready.get((prompt_id, "")) or self._ready.get((prompt_id, text))

    def expect_name(self, name: str) -> None:
        """The name of a call's client is known: render its phrases in the background."""
        self._names[name] += 1
        fields = self._settings.script.fields(name)
        for prompt_id, template in self._templates():
            if NAME in template and (prompt_id, "") not in self._ready:
                with suppress(RuntimeError):  # closed: the call ended slightly later
                    text = fill(template, fields)
                    self._background.submit(self._quietly, name, prompt_id, text)

    def _quietly(self, name: str, prompt_id: str, text: str) -> None:
        if name not in self._names:
            return  # that call is over
        with suppress(VoiceError):  # then it is said without the name
            self.prepare(prompt_id, text, keep=False)
            self._personal.setdefault(name, []).append((prompt_id, text))
        if name not in self._names:
            self._delete(name)

    def forget_name(self, name: str) -> None:
        """A call with this name is over: delete its phrases, unless another call needs them."""
        self._names[name] -= 1
        if self._names[name] <= 0:
            del self._names[name]
            self._delete(name)

    def forget_names(self) -> None:
        """No call is on: delete all phrases with a client's name."""
        self._names.clear()
        for name in tuple(self._personal):
            self._delete(name)

    def _delete(self, name: str) -> None:
        for key in self._personal.pop(name, ()):
            self._ready.pop(key, None)

    # -- before a call
    # -------------------------------------------------------------------------------

    def prepare_script(self) -> list[tuple[str, VoiceError]]:
        """Prepare all phrases without a client's name. Return failures: (prompt, error)."""
        problems = []
        for prompt_id, text in self.texts():
            try:
                self.prepare(prompt_id, text)
            except VoiceError as error:
                problems.append((prompt_id, error))
        return problems

    def texts(self) -> Iterator[tuple[str, str]]:
        """(prompt, its text without a client's name) of all prompts of the script."""
        fields = self._settings.script.fields(None)
        for prompt_id, template in self._templates():
            yield prompt_id, fill(template, fields)

    def _templates(self) -> Iterator[tuple[str, str]]:
        seen = set()
        for scenario in self._settings.script.scenarios.values():
            for step in scenario.steps:
                if step.prompt not in seen:
                    seen.add(step.prompt)
                    yield step.prompt, step.text

    def prepare(self, prompt_id: str, text: str, *, keep: bool = True) -> Phrase:
        """The phrase, rendered if necessary. `keep`: also on the disk.

        Raises:
            VoiceError: it cannot be voiced; the text says why and what to install.
        """
        if (phrase := self.get(prompt_id, text)) is not None:
            return phrase
        recording = self._settings.voice.recordings.get(prompt_id)
        with self._lock:
            if self.closed:
                raise VoiceError("the program ends")
            if recording is not None:
                pcm = self._recorded(prompt_id, recording)
                phrase = self._ready[prompt_id, ""] = Phrase(text, pcm, recorded=True)
            else:
                phrase = Phrase(text, self._spoken(text, keep), recorded=False)
                self._ready[prompt_id, text] = phrase
        return phrase

    def stored(self, prompt_id: str, text: str) -> Phrase | None:
        """The phrase, if it is in memory or in the cache; renders nothing.

        Raises:
            VoiceError: its recording cannot be read.
        """
        if (phrase := self.get(prompt_id, text)) is not None:
            return phrase
        recording = self._settings.voice.recordings.get(prompt_id)
        if recording is not None:
            pcm = self._cache.get(self._recording_key(recording))
        else:
            engine = self._cache.engine()
            pcm = None if engine is None else self._cache.get(self._key(text, engine))
        return None if pcm is None else Phrase(text, pcm, recording is not None)

    def close(self) -> None:
        """Stop rendering; the current rendering fails."""
        self.closed = True
        self._background.shutdown(wait=False, cancel_futures=True)
        if (child := self._child) is not None and child.poll() is None:
            end(child)

    def _started(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        if self.closed:
            end(child)

    def _recording_key(self, path: str) -> str:
        try:
            return key_of("recording", content_of(path), self._settings.voice.loudness_lufs)
        except OSError as error:
            raise VoiceError(f"{path}: cannot be read: {error.strerror}") from error

    def _recorded(self, prompt_id: str, path: str) -> bytes:
        voice = self._settings.voice
        key = self._recording_key(path)
        if (pcm := self._cache.get(key)) is not None:
            return pcm
        request = SynthesisRequest(
            "", voice.engine_voice, voice.rate_wpm, voice.loudness_lufs, path
        )
        try:
            with self._cache.place() as out:
                render(request, out, limit_s=self._limit_s, started=self._started)
                pcm = read_phrase(out)
                self._cache.keep(key, out)
        except VoiceError as error:
            raise VoiceError(f"voice.recordings.{prompt_id}: {path}: {error}") from None
        except (OSError, EOFError, ValueError, wave.Error) as error:
            raise VoiceError(f"{path}: it cannot be made ready: {error}") from error
        return pcm

    def _spoken(self, text: str, keep: bool) -> bytes:
        engine = self._cache.engine()
        if engine is not None and (pcm := self._cache.get(self._key(text, engine))) is not None:
            return pcm
        voice = self._settings.voice
        request = SynthesisRequest(text, voice.engine_voice, voice.rate_wpm, voice.loudness_lufs)
        try:
            with self._cache.place() as out:
                rendered_by = render(
                    request, out, limit_s=self._limit_s, check=keep, started=self._started
                )
                pcm = read_phrase(out)
                if keep:
                    self._cache.remember(rendered_by)
                    self._cache.keep(self._key(text, rendered_by.name), out)
        except (OSError, EOFError, ValueError, wave.Error) as error:
            raise VoiceError(f"the phrase cannot be written: {error}") from error
        return pcm

    def _key(self, text: str, engine: str) -> str:
        voice = self._settings.voice
        return key_of(text, voice.engine_voice, voice.rate_wpm, voice.loudness_lufs, engine)
