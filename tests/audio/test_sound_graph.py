"""The sound server's graph, from what pulsectl gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vad_agent.audio.sound_graph import (
    Endpoint,
    Module,
    SoundGraph,
    Stream,
    find_headset,
)

MIC = Endpoint(10, "mic", "Built-in Microphone", hardware="card 0", bus="pci")
SPEAKERS = Endpoint(11, "speakers", "Built-in Speakers", hardware="card 0", bus="pci")
WORN = Endpoint(1, "jabra", "Jabra EVOLVE 20", hardware="card 1", bus="usb", form_factor="headset")
WORN_MIC = replace(WORN, index=2, name="jabra_mic", description="Jabra EVOLVE 20 Mono")
WEBCAM = Endpoint(3, "webcam", "Webcam", hardware="card 2", bus="usb", form_factor="webcam")
PHRASES = Endpoint(4, "virtmic", "phrases", module=20)
VIRTUAL = Endpoint(5, "vmic", "vad-agent microphone", module=21)


def monitor(sink: Endpoint) -> Endpoint:
    return Endpoint(sink.index + 100, f"{sink.name}.monitor", sink.description, sink.name)


def graph(**more: object) -> SoundGraph:
    """A headset, the machine's own sound, a webcam, and the virtual microphone with a voice in it."""
    whole = SoundGraph(
        default_sink="speakers",
        default_source="mic",
        sinks=(SPEAKERS, WORN, PHRASES),
        sources=(
            *map(monitor, (SPEAKERS, WORN, PHRASES)),
            MIC,
            WORN_MIC,
            WEBCAM,
            VIRTUAL,
        ),
        playing=(Stream(1, "virtmic", "a loopback", None, 22),),
        recording=(Stream(2, "jabra_mic", "a loopback", None, 22),),
        modules=(Module(21, "module-remap-source", {"master": "virtmic.monitor"}),),
    )
    return replace(whole, **more)  # type: ignore[arg-type]


def test_what_a_sinks_sound_reaches_is_found_through_remapped_sources() -> None:
    whole = graph()
    assert whole.played_by("vmic") == "virtmic"
    assert whole.played_by("virtmic.monitor") == "virtmic"
    assert whole.played_by("jabra_mic") == ""
    assert [one.name for one in whole.microphones_of("virtmic")] == ["vmic"]
    assert whole.microphones_of("jabra") == []


def test_a_monitor_is_a_virtual_microphone_where_a_program_records_it() -> None:
    phone = Stream(3, "jabra.monitor", "Zoiper", 77, 6)
    assert [one.name for one in graph(recording=(phone,)).microphones_of("jabra")] == [
        "jabra.monitor"
    ]
    ours = replace(phone, application="vad-agent client")
    assert graph(recording=(ours,)).microphones_of("jabra") == []


def test_the_voice_in_a_sink_is_what_a_module_plays_there_not_a_program() -> None:
    whole = graph()
    assert whole.voices_into("virtmic") == ["jabra_mic"]
    # PulseAudio: programs' streams belong to the protocol's module, all to the same one.
    programs = graph(
        playing=(Stream(1, "virtmic", "a player", 5, 6),),
        recording=(Stream(2, "jabra_mic", "a recorder", 6, 6),),
    )
    assert programs.voices_into("virtmic") == []


def test_recorders_are_programs_not_ours_and_no_level_meters() -> None:
    phone = Stream(3, "jabra_mic", "Zoiper", 77, 6)
    meter = Stream(4, "jabra_mic", "pavucontrol", 78, 6, meter=True)
    ours = Stream(5, "jabra_mic", "vad-agent operator", 79, 6)
    whole = graph(recording=(phone, meter, ours))
    assert list(whole.recorders("jabra_mic")) == [phone]
    assert not whole.also_plays(phone)
    assert replace(whole, playing=(Stream(6, "jabra", "Zoiper", 77, 6),)).also_plays(phone)


def test_the_headset_is_found_though_it_is_not_the_default() -> None:
    found = find_headset(graph())
    assert found is not None
    assert (found.sink.name, found.source.name, found.known) == ("jabra", "jabra_mic", True)
    assert found.others == ()


def test_of_two_headsets_the_default_one_is_taken_and_the_other_named() -> None:
    other = replace(WORN, index=7, name="plt", description="Plantronics", hardware="card 3")
    other_mic = replace(other, index=8, name="plt_mic")
    whole = graph()
    two = replace(
        whole,
        sinks=(*whole.sinks, other),
        sources=(*whole.sources, other_mic),
        default_sink="plt",
    )
    found = find_headset(two)
    assert found is not None
    assert (found.sink.name, found.source.name) == ("plt", "plt_mic")
    assert found.others == ("Jabra EVOLVE 20",)


def test_a_usb_device_that_plays_and_records_is_taken_for_a_headset() -> None:
    plain = [replace(one, form_factor="") for one in (WORN, WORN_MIC)]
    found = find_headset(graph(sinks=(SPEAKERS, plain[0]), sources=(MIC, plain[1])))
    assert found is not None
    assert (found.sink.name, found.known) == ("jabra", True)


def test_without_a_headset_the_defaults_are_taken_never_a_virtual_microphone() -> None:
    found = find_headset(
        graph(
            sinks=(PHRASES, SPEAKERS),
            sources=(monitor(PHRASES), VIRTUAL, MIC),
            default_sink="virtmic",
            default_source="vmic",
        )
    )
    assert found is not None
    assert (found.sink.name, found.source.name, found.known) == ("speakers", "mic", False)


@pytest.mark.parametrize("what", [{"sinks": ()}, {"sources": (monitor(SPEAKERS),)}])
def test_without_an_output_or_a_microphone_there_is_no_headset(what: dict[str, object]) -> None:
    assert find_headset(graph(**what)) is None
