"""`vad-agent dead-air`: finds every silence of one side of a recording."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vad_agent.cli.terminal import progress, tell_missing_detector, warn

SHORTEST_S, LONGEST_S = 0.1, 3600


class Side(StrEnum):
    """A side of the call."""

    OPERATOR = "operator"
    CLIENT = "client"


def _threshold(text: str | float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not SHORTEST_S <= value <= LONGEST_S:  # also false for NaN
        expected = f"expected {SHORTEST_S:g} to {LONGEST_S:g} seconds, such as 2.5"
        raise typer.BadParameter(f"{expected}; got {text!r}")
    return value


def dead_air(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="WAV, FLAC, Ogg or MP3; a mono file is the side of --channel."
        ),
    ],
    channel: Annotated[
        Side, typer.Option(help="Whose silences: operator is the left channel, client the right.")
    ] = Side.CLIENT,
    threshold: Annotated[
        float,
        typer.Option(metavar="SECONDS", parser=_threshold, help="Minimum length of a silence."),
    ] = 2.5,
) -> None:
    """List every silence of one side, its cause, and when a live call would have detected it.

    With two channels, the client is processed together with the operator, whose voice may leak.

    \b
    One JSON object per line:
      fired_s            when a live call would have detected it
      silence_started_s  the end of the last word before it
      cause              what the line carries: live, quiet, digital_zero, music, tone
      channel            the side that is silent

    \b
    The client's silences of at least 2.5 s:
      vad-agent dead-air call.wav
    The operator's silences of at least 10 s:
      vad-agent dead-air call.wav --channel operator --threshold 10
    """
    import json

    from vad_agent.audio.recording_reader import open_call, open_leg
    from vad_agent.core.frames import Channel, frames
    from vad_agent.detection.dead_air import beside
    from vad_agent.detection.dead_air import dead_air as silences_in
    from vad_agent.script.settings import Settings

    side, settings = Channel(channel.value), Settings()
    tell_missing_detector(settings)
    with ExitStack() as stack:
        leg = stack.enter_context(open_leg(file, "left" if side is Channel.OPERATOR else "right"))
        endpointer = settings.endpointer(side, leg.sample_rate)
        heard: Iterable[bytes | None] = leg
        if side is Channel.CLIENT and leg.channels > 1:
            call = stack.enter_context(open_call(file))
            heard = beside(
                settings.endpointer(Channel.OPERATOR, call.sample_rate), endpointer, call
            )
        warn(leg.warnings)
        timing = settings.script.timing
        stream = stack.enter_context(progress(heard, leg.frames_total, file.name, printing=True))
        for silence in silences_in(
            stream,
            endpointer,
            side,
            frames(threshold),
            defer=timing.defer,
            patience=timing.unknown_sound,
        ):
            print(json.dumps(silence.record()))
