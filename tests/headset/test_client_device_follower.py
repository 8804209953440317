"""Where the softphone plays, by what a sound server tells."""

from __future__ import annotations

from vad_agent.audio.sound_graph import Endpoint, SoundGraph, Stream
from vad_agent.headset.client_device_follower import SETTLES_S, ClientDeviceFollower, ClientSink

PHONE, MUSIC = 10, 20
"""Process ids; the telephone also records."""
SINKS = ("headset", "speakers", "virtmic")


def seen(
    *playing: tuple[int, int, str], default: str = "headset", sinks: tuple[str, ...] = SINKS
) -> SoundGraph:
    """`playing`: (number of the stream, process id, sink)."""
    return SoundGraph(
        default_sink=default,
        sinks=tuple(Endpoint(number, sink, sink) for number, sink in enumerate(sinks)),
        sources=tuple(
            Endpoint(number, f"{sink}.monitor", sink, sink) for number, sink in enumerate(sinks)
        ),
        playing=tuple(Stream(index, sink, "a program", pid) for index, pid, sink in playing),
        recording=(Stream(99, "mic", "a telephone", PHONE),),
    )


class Desk:
    """A follower that is shown one graph a second."""

    def __init__(self, home: str | None = "headset") -> None:
        self.follower = ClientDeviceFollower(home, frozenset({"virtmic"}))
        self.now = 0.0

    def look(self, graph: SoundGraph, after_s: float = 1.0) -> ClientSink:
        self.now += after_s
        return self.follower.look(graph, self.now)

    def at(self, graph: SoundGraph, after_s: float = 1.0) -> tuple[str, bool]:
        place = self.look(graph, after_s)
        return place.sink, place.used


def test_a_softphone_at_home_is_in_use_until_its_stream_ends() -> None:
    desk = Desk()
    assert desk.at(seen()) == ("headset", False)
    assert desk.at(seen((1, PHONE, "headset"))) == ("headset", True)
    assert desk.at(seen()) == ("headset", False)


def test_what_is_seen_first_is_no_change() -> None:
    desk = Desk()
    assert not desk.look(seen()).changed
    assert not desk.look(seen()).changed
    assert desk.look(seen(default="speakers")).changed
    desk.follower.gone()
    assert desk.look(seen(default="speakers")).changed


def test_a_stream_that_was_moved_is_followed_there_and_back() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    assert desk.at(seen((1, PHONE, "speakers")), 60) == ("speakers", True)
    assert desk.at(seen((1, PHONE, "headset")), 60) == ("headset", True)


def test_a_stream_that_is_being_moved_is_in_use() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    assert desk.at(seen((1, PHONE, ""))) == ("headset", True)
    assert desk.at(seen((1, PHONE, "speakers"))) == ("speakers", True)


def test_a_headset_that_is_pulled_out_and_put_in_again() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    without = ("speakers", "virtmic")
    place = desk.look(seen((1, PHONE, "speakers"), default="speakers", sinks=without))
    assert (place.sink, place.used, place.changed) == ("speakers", True, True)
    assert desk.at(seen((1, PHONE, "headset"))) == ("headset", True)


def test_another_default_moves_nothing_while_the_softphone_stays() -> None:
    desk = Desk(home=None)
    assert desk.at(seen((1, PHONE, "headset"))) == ("headset", True)
    place = desk.look(seen((1, PHONE, "headset"), (2, MUSIC, "speakers"), default="speakers"))
    assert (place.sink, place.used, place.changed) == ("headset", True, True)


def test_without_a_softphone_the_default_is_followed() -> None:
    desk = Desk(home=None)
    assert desk.at(seen()) == ("headset", False)
    assert desk.at(seen(default="speakers")) == ("speakers", False)
    assert desk.at(seen((1, PHONE, "speakers"), default="speakers")) == ("speakers", True)
    desk.look(seen(default="speakers"))
    assert desk.at(seen()) == ("headset", False)


def test_a_stream_that_is_opened_anew_after_a_change_is_the_same_softphone() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    desk.follower.gone()
    assert desk.at(seen(), 60) == ("headset", False)
    assert desk.at(seen((7, PHONE, "speakers")), SETTLES_S - 2) == ("speakers", True)


def test_a_new_stream_of_the_softphone_elsewhere_may_be_its_bell() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    assert desk.at(seen(), SETTLES_S) == ("headset", False)
    assert desk.at(seen((2, PHONE, "speakers"))) == ("headset", False)
    assert desk.at(seen((2, PHONE, "speakers"), (3, PHONE, "headset"))) == ("headset", True)


def test_the_next_call_is_found_where_the_last_one_was_moved_to() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    desk.look(seen((1, PHONE, "speakers")), 60)
    assert desk.at(seen(), 60) == ("speakers", False)
    assert desk.at(seen((2, PHONE, "speakers")), 60) == ("speakers", True)
    assert desk.at(seen(), 60) == ("speakers", False)
    assert desk.at(seen((3, PHONE, "headset")), 60) == ("headset", True)


def test_music_beside_the_softphone_is_not_the_softphone() -> None:
    desk = Desk()
    both = (1, PHONE, "headset"), (2, MUSIC, "headset")
    assert desk.at(seen(*both)) == ("headset", True)
    assert desk.at(seen(both[0], (2, MUSIC, "speakers"))) == ("headset", True)
    assert desk.at(seen((1, PHONE, "speakers"), both[1])) == ("speakers", True)
    assert desk.at(seen((1, PHONE, "headset"), both[1])) == ("headset", True)
    assert desk.at(seen(both[1]), 60) == ("headset", False)  # it has hung up


def test_a_program_that_only_plays_may_be_the_softphone() -> None:
    desk = Desk()
    assert desk.at(seen((1, MUSIC, "headset"))) == ("headset", True)
    assert desk.at(seen((1, MUSIC, "speakers")), 60) == ("speakers", True)


def test_a_stream_in_the_sink_of_the_phrases_is_in_use_and_is_not_captured() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    place = desk.look(seen((1, PHONE, "virtmic")))
    assert (place.sink, place.used, place.barred) == ("headset", True, "virtmic")
    assert desk.at(seen((1, PHONE, "headset"))) == ("headset", True)


def test_a_sink_that_goes_after_the_call_is_left_for_the_own_one() -> None:
    desk = Desk()
    desk.look(seen((1, PHONE, "headset")))
    desk.look(seen((1, PHONE, "speakers")), 60)
    assert desk.at(seen(sinks=("headset", "virtmic")), 60) == ("headset", False)
