"""Call-progress tones by their cadence, on tapes: what is known, and at which frame of the tape."""

from __future__ import annotations

import re

import pytest

from vad_agent.core.endpointer_port import Progress
from vad_agent.detection.cadence import Cadence

BUSY, DIAL, RINGBACK, WAITING = Progress


def known(drawing: str) -> list[tuple[int, Progress]]:
    """What becomes known of "t*17 .*18": frames of a tone, frames off. Told of frame by frame."""
    cadence, changes, now = Cadence(), [], 0
    for letter, count in re.findall(r"([t.])\*(\d+)", drawing):
        for _ in range(int(count)):
            now += 1
            if letter == "t":
                before = cadence.progress
                cadence.feed(now - 1, now)
                if cadence.progress is not before and cadence.progress is not None:
                    changes.append((now, cadence.progress))
    return changes


def pulses(on: int, off: int, count: int) -> str:
    """So many pulses of a steady cadence."""
    return f"t*{on} .*{off} " * count


# -- busy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "off", "frame"),
    [
        (10, 10, 110),  # 0.2 s: congestion
        (12, 13, 112),
        (15, 15, 105),
        (17, 18, 114),  # 0.35 s: busy in Russia
        (20, 15, 90),
        (25, 25, 110),  # 0.5 s: busy in America
        (35, 35, 141),  # 0.7 s: congestion in China; the third pulse
    ],
)
def test_busy_is_known_some_two_seconds_after_it_began(on: int, off: int, frame: int) -> None:
    assert known(pulses(on, off, 20)) == [(frame, BUSY)]


@pytest.mark.parametrize(("last", "busy"), [(9, False), (10, True), (11, True)])
def test_so_much_sound_of_busy_is_needed(last: int, busy: bool) -> None:
    assert known(f"{pulses(25, 25, 2)} t*{last} .*100") == [(110, BUSY)] * busy


@pytest.mark.parametrize(("count", "busy"), [(2, False), (3, True)])
def test_two_pulses_are_no_beat(count: int, busy: bool) -> None:
    assert bool(known(pulses(37, 37, count))) == busy


@pytest.mark.parametrize(("on", "busy"), [(44, True), (45, True), (46, False)])
def test_a_longer_pulse_is_not_of_busy(on: int, busy: bool) -> None:
    assert (BUSY in dict(known(pulses(on, 30, 8))).values()) == busy


@pytest.mark.parametrize(("beat", "busy"), [(14, False), (15, True), (75, True), (76, False)])
def test_busy_has_a_beat_of_a_third_of_a_second_to_one_and_a_half(beat: int, busy: bool) -> None:
    assert (BUSY in dict(known(pulses(beat // 2, beat - beat // 2, 12))).values()) == busy


@pytest.mark.parametrize(("off", "busy"), [(34, True), (36, True), (37, False)])
def test_beeps_that_come_each_second_are_not_busy(off: int, busy: bool) -> None:
    """On for a third of the time, or less."""
    assert (BUSY in dict(known(pulses(18, off, 12))).values()) == busy


def test_a_pulse_that_is_missed_does_not_hide_busy() -> None:
    assert known("t*25 .*75 t*25 .*25 t*25 .*25 t*25 .*25") == [(201, BUSY)]
    assert known(f"{pulses(17, 18, 2)} .*35 {pulses(17, 18, 3)}") == [(149, BUSY)]


@pytest.mark.parametrize(("extra", "busy"), [(3, True), (4, True), (5, False)])
def test_a_beat_that_is_not_steady_is_not_busy(extra: int, busy: bool) -> None:
    uneven = f"t*20 .*20 t*20 .*{20 + extra} t*20 .*{20 + 2 * extra} " * 4
    assert bool(known(uneven)) == busy


def test_notes_of_unlike_lengths_are_not_busy() -> None:
    assert known("t*6 .*40 t*20 .*26 t*34 .*12 " * 4) == []


def test_congestion_whose_pulses_are_long_and_short() -> None:
    assert known("t*20 .*17 t*11 .*26 " * 6) == [(120, BUSY)]  # Britain
    assert known("t*10 .*10 t*10 .*10 t*10 .*30 " * 6) == [(130, BUSY)]  # Spain


def test_busy_after_a_ring_is_busy() -> None:
    """The one to whom the call is transferred has no time."""
    ring = "t*50 .*200 " * 3
    assert known(ring + pulses(25, 25, 8)) == [(300, RINGBACK), (860, BUSY)]


# -- a dial tone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "dial"), [(129, False), (130, False), (131, True)])
def test_what_lasts_longer_than_any_ring_is_a_dial_tone(on: int, dial: bool) -> None:
    assert known(f"t*{on}") == [(100, RINGBACK), (131, DIAL)][: 1 + dial]


@pytest.mark.parametrize(("gap", "frame"), [(4, 131), (5, 131), (6, 143), (7, 145)])
def test_lost_packets_do_not_break_it(gap: int, frame: int) -> None:
    """A short gap counts as sound, a longer one is left out; neither is a pause of a cadence."""
    assert (frame, DIAL) in known(f"t*40 .*{gap} t*40 .*{gap} t*60")


def test_a_tone_that_loses_a_fifth_is_not_continuous() -> None:
    assert DIAL not in dict(known("t*40 .*10 " * 6)).values()


# -- ringback ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ring", "frame"),
    [
        ("t*50 .*200", 300),  # Russia, most of Europe
        ("t*40 .*160", 420),
        ("t*75 .*175", 275),
        ("t*100 .*200", 100),  # America
        ("t*50 .*100", 200),  # Japan
        ("t*20 .*10 t*20 .*100", 320),  # Britain
    ],
)
def test_ringback_is_known_by_two_seconds_of_rings(ring: str, frame: int) -> None:
    assert known(f"{ring} " * 8) == [(frame, RINGBACK)]


@pytest.mark.parametrize(("sound", "rings"), [(99, False), (100, True), (101, True)])
def test_two_seconds_are_needed(sound: int, rings: bool) -> None:
    assert bool(known(f"t*50 .*200 t*{sound - 50}")) == rings


@pytest.mark.parametrize(("on", "rings"), [(29, False), (30, True), (31, True)])
def test_what_is_shorter_is_a_beep(on: int, rings: bool) -> None:
    assert (RINGBACK in dict(known(f"t*{on} .*200 " * 6)).values()) == rings


@pytest.mark.parametrize(("off", "rings"), [(75, False), (76, True), (225, True), (226, False)])
def test_rings_are_so_far_apart(off: int, rings: bool) -> None:
    assert (RINGBACK in dict(known(f"t*60 .*{off} t*60")).values()) == rings


# -- beeps of a call that waits ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "beep",
    [
        "t*10 .*200",
        "t*10 .*250",
        "t*15 .*500",
        "t*9 .*9 t*9 .*175",  # Spain
        "t*10 .*10 t*10 .*250",  # Germany
        "t*8 .*8 t*8 .*8 t*8 .*200",
        "t*10 .*25 t*10 .*200",  # Sweden
    ],
)
def test_beeps_far_apart_are_a_call_that_waits(beep: str) -> None:
    off = int(beep.rpartition("*")[2])
    period = sum(map(int, re.findall(r"\d+", beep)))
    assert known(f"{beep} " * 30) == [(period + 1, WAITING)]
    assert off > 75


@pytest.mark.parametrize(("off", "waits"), [(75, False), (76, True), (550, True), (551, False)])
def test_beeps_are_so_far_apart(off: int, waits: bool) -> None:
    assert bool(known(f"t*10 .*{off} t*10")) == waits


# -- what begins it anew -------------------------------------------------------------------------------


def test_another_sound_begins_it_anew_but_what_is_known_stays() -> None:
    cadence = Cadence()
    cadence.feed(0, 60)
    cadence.interrupt()
    cadence.feed(60, 159)
    assert cadence.progress is None
    cadence.feed(159, 160)
    assert cadence.progress is RINGBACK
    cadence.interrupt()
    cadence.feed(300, 310)
    assert cadence.progress is RINGBACK


def test_who_is_there_again_is_not_gone() -> None:
    cadence = Cadence()
    cadence.feed(0, 100)
    cadence.forget()
    assert cadence.progress is None
    cadence.feed(250, 300)
    cadence.feed(500, 549)
    assert cadence.progress is None


def test_nothing_is_heard_twice() -> None:
    cadence = Cadence()
    for _ in range(3):
        cadence.feed(0, 90)
        cadence.feed(90, 90)
    assert cadence.progress is None
