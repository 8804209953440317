"""Worker process that renders one phrase to a WAV file (48 kHz, mono, int16) and ends.

pyttsx3's engines crash with two threads, hang on a path that they cannot write, and print to
stdout. Each rendering therefore has its own process, with one `save_to_file`, and a time limit set
by the parent.

Sometimes an engine renders nothing, or stops in the middle. Another process may succeed
("again").

Request on stdin: {"text", "voice", "rate_wpm", "lufs", "recording": path or null, "out": path,
"measure": true if only the length is wanted}.
Answer on stdout: {"engine": …, "files": {path: [mtime_ns, size]}, "seconds": of the engine's sound,
"problem": null} or {"problem": "…", "again": …}.
"""

from __future__ import annotations

import json
import os
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vad_agent.errors import VoiceError
from vad_agent.speech.player import PHRASE_HZ

SPOKEN = ".spoken.wav"
"""Suffix of the engine's output file, from which the phrase is made."""
SHORTEST_CHAR_S, LONGEST_CHAR_S = 0.02, 0.3
"""Plausible seconds per character; otherwise a part is missing, or it is not the phrase."""
LONGER_S = 2.0
SETTLE_S = 5.0
"""Seconds that the engine may go on after its loop; less than the parent's time limit."""
RATE_OFF = 0.05
"""Share by which the engine's rate may differ from the requested one."""


class BrokeOff(VoiceError):
    """The engine failed although it works at other times."""


def main() -> None:
    """Render, answer, end."""
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # engines print to stdout
    answer: dict[str, Any]
    try:
        answer = {"problem": None, **_render(json.loads(sys.stdin.buffer.read()))}
    except VoiceError as error:
        answer = {"problem": str(error), "again": isinstance(error, BrokeOff)}
    except Exception as error:
        answer = {"problem": f"the engine failed: {type(error).__name__}: {error}", "again": True}
    with os.fdopen(answer_fd, "w", encoding="utf-8") as out:
        json.dump(answer, out)
    sys.stdout.flush()
    os._exit(0)  # engines may hang at the interpreter's exit


def _render(request: dict[str, Any]) -> dict[str, Any]:
    import soundfile  # type: ignore[import-untyped]

    about: dict[str, Any] = {"engine": "recording", "files": {}}
    path = request["recording"]
    if path is None:
        path = request["out"] + SPOKEN  # the parent removes it even if this process fails
        about = _speak(request, path)
        about["seconds"] = soundfile.info(path).duration
        if request.get("measure"):
            return about

    import numpy as np
    import soxr  # type: ignore[import-untyped]

    from vad_agent.speech.normalization import normalize

    samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    mono = np.ascontiguousarray(samples.mean(axis=1))
    if rate != PHRASE_HZ:  # first: it raises peaks slightly
        mono = soxr.resample(mono, rate, PHRASE_HZ, quality="HQ")
    try:
        mono = normalize(mono, PHRASE_HZ, request["lufs"])
    except VoiceError as error:
        raise (BrokeOff if request["recording"] is None else VoiceError)(str(error)) from None
    if request["recording"] is None:
        _check_length(len(mono) / PHRASE_HZ, request["text"])
    pcm = np.rint(np.clip(mono, -1, 1) * 32767).astype("<i2").tobytes()
    with wave.open(request["out"], "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(PHRASE_HZ)
        out.writeframes(pcm)
    return about


def _check_length(seconds: float, text: str) -> None:
    lo, hi = len(text) * SHORTEST_CHAR_S, len(text) * LONGEST_CHAR_S + LONGER_S
    if not lo <= seconds <= hi:
        raise BrokeOff(f"expected {lo:.1f} to {hi:.1f} s of speech, got {seconds:.1f} s")


def _speak(request: dict[str, Any], path: str) -> dict[str, Any]:
    if not request["text"].strip():
        raise VoiceError("expected a phrase, got an empty text")
    try:
        import pyttsx3  # type: ignore[import-untyped]

        engine = pyttsx3.init()
    except (ImportError, OSError, RuntimeError, KeyError) as error:
        raise VoiceError(f"no speech engine ({error}): {_install()}") from None
    voices = engine.getProperty("voices") or []
    voice = _choose(voices, request["voice"])
    engine.setProperty("voice", voice)
    engine.setProperty("rate", request["rate_wpm"])
    if _driver(engine) == "espeak":
        # runAndWait sets espeak's voice and rate, and then cancels commands that espeak has not carried
        # out yet: the rate, or the end of the text. Therefore wait for them first.
        engine.proxy.setBusy(False)
        _wait(lambda: not _is_busy(), "the engine did not take its rate")
    engine.save_to_file(request["text"], path)
    engine.runAndWait()
    # Some loops end before the engine does: the file is missing, or cut short.
    driver = engine.proxy._driver
    _wait(lambda: not getattr(driver, "_speaking", False), "the engine was still speaking")
    rate = _rate(engine)
    if abs(rate / request["rate_wpm"] - 1) > RATE_OFF:
        raise BrokeOff(f"the engine spoke {rate} words a minute, not {request['rate_wpm']}")
    if not os.path.exists(path):
        raise BrokeOff(f"the engine wrote no sound: {_install()}")
    return _identity(engine, voice)


def _wait(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + SETTLE_S
    while not true():
        if time.monotonic() > deadline:
            raise BrokeOff(f"{otherwise} after {SETTLE_S:g} s")
        time.sleep(0.001)


def _is_busy() -> bool:
    """espeak has not carried out all commands."""
    from pyttsx3.drivers import _espeak  # type: ignore[import-untyped]

    return bool(_espeak.IsPlaying())


def _rate(engine: Any) -> float:
    """Words a minute that the engine speaks now."""
    if _driver(engine) != "espeak":
        return float(engine.getProperty("rate"))
    from pyttsx3.drivers import _espeak

    return float(_espeak.dll.espeak_GetParameter(_espeak.RATE, 1))  # pyttsx3 requests the default


def _driver(engine: Any) -> str:
    return type(engine.proxy._driver).__module__.rpartition(".")[2]


def _choose(voices: list[Any], wanted: str) -> str:
    """The voice with this id or name, or the first of this language."""
    name = wanted.casefold()
    for voice in voices:
        if name in (str(voice.id).casefold(), str(voice.name).casefold()):
            return str(voice.id)
    languages = [(voice, [_language(one) for one in voice.languages or []]) for voice in voices]
    for fits in (name.__eq__, lambda one: one.startswith(f"{name}-")):  # ru before ru-lv
        for voice, spoken in languages:
            if any(fits(one) for one in spoken):
                return str(voice.id)
    if name == "ru":
        for voice in voices:  # SAPI reports no languages
            if "russian" in str(voice.name).casefold() or "ru-ru" in str(voice.id).casefold():
                return str(voice.id)
    raise VoiceError(f"no voice {wanted!r} among {len(voices)}: {_install()}")


def _language(value: Any) -> str:
    """The language; espeak returns bytes with a priority before the name."""
    if isinstance(value, bytes):
        return value.lstrip(bytes(range(32))).decode(errors="replace").casefold()
    return str(value).casefold()


def _install() -> str:
    if sys.platform == "win32":
        return "install the Russian speech pack (Settings, Speech) or RHVoice with a Russian voice"
    if sys.platform == "darwin":
        return "install a Russian voice (System Settings, Accessibility, Spoken Content)"
    return "install espeak-ng (Debian: apt-get install espeak-ng)"


def _identity(engine: Any, voice: str) -> dict[str, Any]:
    """The engine, and the files by which a change of it is detected."""
    files: dict[str, list[int]] = {}
    driver, version = _driver(engine), ""
    if driver == "espeak":
        from pyttsx3.drivers import _espeak

        info = _espeak.dll.espeak_Info
        import ctypes

        info.restype = ctypes.c_char_p
        version = (info(None) or b"").decode(errors="replace")
        files = _loaded("espeak")
    return {"engine": f"{driver} {version} {voice}", "files": files}


def _loaded(part: str) -> dict[str, list[int]]:
    """Loaded libraries whose name contains `part`, with their times and sizes."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return {}
    found = {line.split(maxsplit=5)[-1] for line in lines if part in line.rpartition("/")[2]}
    return {path: file_stamp(path) for path in sorted(found) if os.path.isfile(path)}


def file_stamp(path: str) -> list[int]:
    """Time and size, by which a change of the file is detected."""
    stat = os.stat(path)
    return [stat.st_mtime_ns, stat.st_size]


if __name__ == "__main__":
    main()
