"""`vad-agent setup`: from a plugged-in headset to a working `vad-agent listen`, and back (Linux)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vad_agent.cli.arguments import ScriptFile, load_settings
from vad_agent.cli.terminal import plain_console
from vad_agent.errors import DeviceError

if TYPE_CHECKING:
    from vad_agent.audio.sound_graph import Headset, SoundGraph
    from vad_agent.headset.saved_options import SavedOptions

NOT_LINUX = (
    "setup works on Linux, with PulseAudio or PipeWire: vad-agent devices tells what to do here"
)
NOTHING = "no headset: the sound server has no output or no microphone: plug the headset in, and run it again"


def setup(
    headset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Part of its name. Default: the one plugged in, else the default's.",
        ),
    ] = None,
    client_device: Annotated[
        str | None, typer.Option(metavar="NAME", help="The output where you hear the client.")
    ] = None,
    operator_device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Your microphone.")
    ] = None,
    softphone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Move this program's recording. Default: who records and plays."
        ),
    ] = None,
    permanent: Annotated[
        bool,
        typer.Option("--permanent", help="For good: the sound server makes it at each start."),
    ] = False,
    monitor: Annotated[
        bool,
        typer.Option("--monitor/--no-monitor", help="Phrases are heard in the headset, too."),
    ] = True,
    script: ScriptFile = None,
    operator: Annotated[
        str | None, typer.Option(metavar="LOGIN", help="Your login at the desk, for listen.")
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Remove all that setup made and wrote.")
    ] = False,
) -> None:
    """Set the headset up (Linux): virtual microphone, phrases, settings; then vad-agent listen.

    It finds the headset, makes the microphone «vad-agent microphone» with your voice and the phrases
    in it, makes it the default one, moves a softphone that is in a call to it, renders the phrases,
    writes the settings for listen, and checks all by measuring. Run it again whenever something is
    missing: it makes only that. Exit status 1: a line of the check has a ✗.

    \b
    Plug the headset in, then:
      vad-agent setup
      vad-agent listen
    The virtual microphone at each login, without setup:
      vad-agent setup --permanent
    Another headset than the one it finds:
      vad-agent setup --headset "EVOLVE 20"
    Everything as it was before:
      vad-agent setup --undo
    """
    if sys.platform != "linux":
        raise DeviceError(NOT_LINUX)
    say = _printer()
    if undo:
        _undo(say)
        return
    from vad_agent.audio import server_startup
    from vad_agent.audio.sound_graph import read_graph
    from vad_agent.audio.virtual_microphone import SINK, SOURCE_TITLE, ensure, use_as_default
    from vad_agent.headset.saved_options import SavedOptions, load_options

    settings_of_script = load_settings(script)
    before = load_options()
    graph = read_graph()
    say(f"✓ sound server: {graph.server}")
    worn = _headset(graph, before, headset, client_device, operator_device)
    say(f"✓ headset: {_told(worn)}")
    made = ensure(worn.source.name)
    what = ", ".join(part.title for part in made) if made else "it is there"
    say(f"✓ virtual microphone: {what}")
    if permanent or server_startup.written():
        path = server_startup.write(worn.source.name, pipewire=graph.pipewire)
        say(f"✓ at each start of the sound server, by {path}")
    _move_softphone(worn.sink.name, softphone, say)  # explicitly: the server remembers it
    default_source = use_as_default()
    options = SavedOptions(
        client_device=worn.sink.name,
        operator_device=worn.source.name,
        prompt_device=SINK,
        monitor_device=worn.sink.name if monitor else None,
        script=str(script.resolve()) if script is not None else before.script,
        operator=operator or before.operator,
        default_source=_first(default_source, before),
    )
    say(f"✓ settings for vad-agent listen: {options.save()}")
    if options.script is not None and script is None:
        settings_of_script = load_settings(Path(options.script))
    _render(settings_of_script, say)
    good = _check(options)
    say(
        f"In the softphone the microphone is «{SOURCE_TITLE}» (or the default). Now: vad-agent listen"
    )
    raise typer.Exit(0 if good else 1)


def _printer() -> Callable[[str], None]:
    console = plain_console()

    def say(text: str) -> None:
        console.print(text, soft_wrap=True)

    return say


def _headset(
    graph: SoundGraph,
    before: SavedOptions,
    headset: str | None,
    client: str | None,
    operator: str | None,
) -> Headset:
    """What the arguments name; else the headset that is plugged in; else as before; else the defaults."""
    from vad_agent.audio.devices import DeviceRole, find_device, list_devices
    from vad_agent.audio.sound_graph import Headset, find_headset

    found = find_headset(graph)
    if found is not None and not found.known:
        sink, source = (
            graph.sink(before.client_device or ""),
            graph.source(before.operator_device or ""),
        )
        found = Headset(sink or found.sink, source or found.source, known=False)
    client, operator = client or headset, operator or headset
    if client is None and operator is None:
        if found is None:
            raise DeviceError(NOTHING)
        return found
    devices = list_devices()
    sink = source = None
    if client is not None:
        sink = graph.sink(find_device(client, DeviceRole.CLIENT, devices).plays)
    if operator is not None:
        source = graph.source(find_device(operator, DeviceRole.OPERATOR, devices).name)
    sink = sink or (found.sink if found else None)
    source = source or (found.source if found else None)
    if sink is None or source is None:
        raise DeviceError(NOTHING)
    return Headset(sink, source, known=True)


def _told(worn: Headset) -> str:
    text = worn.sink.description
    if worn.source.description != text:
        text += f", microphone {worn.source.description}"
    if not worn.known:
        text += " (the system's defaults: none was recognized as a headset; --headset NAME)"
    if worn.others:
        text += f" (there is also {', '.join(worn.others)}: --headset NAME)"
    return text


def _first(default_source: str, before: SavedOptions) -> str | None:
    """The default source before the first setup."""
    from vad_agent.audio.virtual_microphone import SOURCE

    return before.default_source if default_source == SOURCE else default_source or None


def _move_softphone(sink: str, softphone: str | None, say: Callable[[str], None]) -> None:
    """Move a softphone that records another microphone to the virtual one. The check reports the rest."""
    from vad_agent.audio.sound_graph import read_graph
    from vad_agent.audio.virtual_microphone import SINK, SOURCE, SOURCE_TITLE, move_recording
    from vad_agent.headset.routing_check import wrong_recorders

    graph = read_graph()
    for stream in wrong_recorders(graph, sink, graph.microphones_of(SINK)):
        named = softphone is not None and softphone.casefold() in stream.application.casefold()
        if not (named or (softphone is None and graph.also_plays(stream))):
            continue
        try:
            move_recording(stream, SOURCE)
        except DeviceError as error:
            say(
                f"✗ softphone: {stream.application} cannot be moved: choose «{SOURCE_TITLE}»: {error}"
            )
        else:
            say(f"✓ softphone: {stream.application} records «{SOURCE_TITLE}» now")


def _render(settings: object, say: Callable[[str], None]) -> None:
    """Render what is not in the cache; the check reports what is missing."""
    from vad_agent.script.settings import Settings
    from vad_agent.speech.prompt_library import PromptLibrary

    assert isinstance(settings, Settings)
    phrases = PromptLibrary(settings)
    try:
        total = len(list(phrases.texts()))
        say(f"  rendering the phrases ({total}); a second each, the first time")
        problems = phrases.prepare_script()
    finally:
        phrases.close()
    for prompt, error in problems[:1]:
        say(f"✗ phrases: {len(problems)} cannot be rendered, such as {prompt}: {error}")


def _check(saved: SavedOptions) -> bool:
    from vad_agent.headset.diagnostics import check_all
    from vad_agent.headset.options import Options

    options = Options(
        client=saved.client_device,
        operator=saved.operator_device,
        prompt=saved.prompt_device,
        monitor=saved.monitor_device,
        script=None if saved.script is None else Path(saved.script),
    )
    return check_all(options, plain_console())


def _undo(say: Callable[[str], None]) -> None:
    """Files first: they go even where no sound server answers."""
    from vad_agent.audio import server_startup, virtual_microphone
    from vad_agent.headset.saved_options import forget_options, load_options

    saved = load_options()
    for path in server_startup.remove():
        say(f"✓ taken out of {path}")
    try:
        if virtual_microphone.remove(saved.default_source or saved.operator_device):
            say("✓ the virtual microphone is gone; programs record the microphone of before")
        else:
            say("✓ there was no virtual microphone")
    except DeviceError as error:
        say(f"✓ no virtual microphone: {error}")
    if (gone := forget_options()) is not None:
        say(f"✓ removed {gone}")
