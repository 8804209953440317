"""`vad-agent prompts`: renders, plays and checks the script's prompts."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.arguments import ScriptFile, load_settings
from vad_agent.cli.terminal import complain, plain_console, print_table
from vad_agent.errors import VoiceError

if TYPE_CHECKING:
    from vad_agent.audio.device_recovery import Lost, Opened
    from vad_agent.audio.ipc_framing import Record
    from vad_agent.script.settings import Settings
    from vad_agent.speech.player import Player
    from vad_agent.speech.prompt_library import Phrase, PromptLibrary

    What = Opened | Lost | Record

HEAD = ("prompt", "seconds", "source", "text")
BYTES_PER_S = 96_000
OPEN_S = 10.0
"""Seconds: a device that is not open by then counts as lost."""
SPARE_S = 5.0
"""Seconds after its length by which a phrase must be over."""

prompts_app = typer.Typer(
    name="prompts",
    help="The phrases as sound: render them in advance, play them, check them.\n\n\b\nBefore a shift:\n"
    "  vad-agent prompts render\n"
    "How does one sound?\n"
    "  vad-agent prompts play not_heard",
    short_help="The phrases as sound: render, play, check.",
    no_args_is_help=True,
)


@prompts_app.command()
def render(script: ScriptFile = None) -> None:
    """Render every phrase of the script that is not in the cache; status 1 if one cannot be.

    A phrase with the client's name is rendered in its call; here it stands without the name.

    \b
    The built-in script:
      vad-agent prompts render
    A script of your own, with its recordings:
      vad-agent prompts render --script own.toml
    """
    rows, failed = [], []
    phrases = _phrases(load_settings(script))
    texts = list(phrases.texts())
    for number, (prompt, text) in enumerate(texts, 1):
        try:
            if (phrase := phrases.stored(prompt, text)) is not None:
                source = "recording" if phrase.recorded else "cache"
            else:
                _show_progress(number, len(texts), prompt)
                phrase = phrases.prepare(prompt, text)
                source = "recording" if phrase.recorded else "rendered"
            rows.append(_row(prompt, text, phrase, source))
        except VoiceError as error:
            rows.append(_row(prompt, text, None, "missing"))
            failed.append(f"{prompt}: {error}")
    _end(rows, failed)


@prompts_app.command()
def check(script: ScriptFile = None) -> None:
    """Check that every phrase is ready, without rendering any; status 1 if one is missing.

    \b
    Is all ready for the shift?
      vad-agent prompts check
    """
    rows, failed = [], []
    phrases = _phrases(load_settings(script))
    for prompt, text in phrases.texts():
        try:
            phrase = phrases.stored(prompt, text)
        except VoiceError as error:
            phrase = None
            failed.append(f"{prompt}: {error}")
        else:
            if phrase is None:
                failed.append(f"{prompt}: not rendered: vad-agent prompts render")
        source = "missing" if phrase is None else "recording" if phrase.recorded else "cache"
        rows.append(_row(prompt, text, phrase, source))
    _end(rows, failed)


@prompts_app.command()
def play(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="As in vad-agent script show.")],
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Default: the system's output. See vad-agent devices."),
    ] = None,
    script: ScriptFile = None,
) -> None:
    """Play a phrase as it will sound, through the output that listen would use.

    \b
    On the default output:
      vad-agent prompts play not_heard
    Into the virtual microphone, for a test call:
      vad-agent prompts play not_heard --device virtmic
    """
    from vad_agent.audio.devices import DeviceRole, find_device, list_devices
    from vad_agent.speech.player import Player

    phrases = _phrases(load_settings(script))
    texts = dict(phrases.texts())
    if prompt not in texts:
        known = ", ".join(texts)
        raise typer.BadParameter(f"no phrase {prompt!r}; known: {known}", param_hint="PROMPT")
    role = DeviceRole.MONITOR if device is None else DeviceRole.PROMPT
    found = find_device(device, role, list_devices())
    try:
        phrase = phrases.prepare(prompt, texts[prompt])
    except VoiceError as error:
        complain(f"{prompt}: {error}")
        raise typer.Exit(1) from None
    told: queue.SimpleQueue[What] = queue.SimpleQueue()
    player = Player(found, role, told.put)
    try:
        why = _played(player, told, phrase)
    finally:
        player.close()
    if why:
        complain(f"{found.name}: {why}")
        raise typer.Exit(1)
    print(f"{prompt}: {len(phrase.pcm) / BYTES_PER_S:.1f} s on {found.name}: «{phrase.text}»")


def _played(player: Player, told: queue.SimpleQueue[What], phrase: Phrase) -> str:
    """Play the phrase and wait for its end. Return why it was not heard; "" if it was."""
    from vad_agent.audio.device_recovery import DeviceState
    from vad_agent.speech.mixer import Mark

    number: int | None = None
    until = time.perf_counter() + OPEN_S
    while (rest := until - time.perf_counter()) > 0:
        try:
            report = player.take(told.get(timeout=rest))
        except queue.Empty:
            break
        if player.state is DeviceState.LOST:
            return player.why
        if number is None:
            number = player.play(phrase.pcm)
            until = time.perf_counter() + len(phrase.pcm) / BYTES_PER_S + SPARE_S
        elif report is not None and report.phrase == number and report.mark is Mark.ENDED:
            time.sleep(max(0.0, report.at - time.perf_counter()))  # the device is still playing it
            return ""
    return "it does not open" if number is None else "the phrase was not heard to its end"


def _phrases(settings: Settings) -> PromptLibrary:
    from vad_agent.speech.prompt_library import PromptLibrary

    return PromptLibrary(settings)


def _show_progress(number: int, total: int, prompt: str) -> None:
    if sys.stderr.isatty():
        print(f"rendering {number} of {total}: {prompt}", file=sys.stderr)


def _row(prompt: str, text: str, phrase: Phrase | None, source: str) -> list[str]:
    length = "" if phrase is None else f"{len(phrase.pcm) / BYTES_PER_S:.2f}"
    return [prompt, length, source, text]


def _end(rows: Sequence[Sequence[str]], failed: Sequence[str]) -> None:
    """Print the table, then the problems."""
    print_table(plain_console(), HEAD, rows)
    for problem in failed:
        complain(problem)
    if failed:
        raise typer.Exit(1)
