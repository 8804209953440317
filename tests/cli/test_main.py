"""The command as its users type it: what it prints where, and with which status it ends."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]

from audio_fixtures.recipe import FOLDER
from tests.cli.callback_commands import CommandResult
from vad_agent import __version__
from vad_agent.audio import audio_file
from vad_agent.cli import main
from vad_agent.errors import install_extra

CALL = FOLDER / "greeting_silence.flac"
COMMAND = [sys.executable, "-m", "vad_agent.cli.main"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX files and signals")

Run = Callable[..., CommandResult]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """In this process: `run("replay", "call.wav")`."""

    def run(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["vad-agent", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert isinstance(ended.value.code, int)
        return CommandResult(ended.value.code, *capfd.readouterr())

    return run


def start(*arguments: object, env: dict[str, str] | None = None, **how: Any) -> Any:
    """A real process."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.Popen([*COMMAND, *map(str, arguments)], env=os.environ | (env or {}), **how)


def finish(process: Any) -> CommandResult:
    out, err = process.communicate(timeout=60)
    return CommandResult(process.returncode, (out or b"").decode(), (err or b"").decode())


def refused(done: CommandResult) -> str:
    """The one line of stderr of wrong arguments, settings or a wrong file."""
    assert done.status == 2
    assert done.out == ""
    (line,) = done.errors
    return line


def wav(path: Path, seconds: float, channels: int = 2, rate: int = 8_000) -> Path:
    soundfile.write(path, np.zeros((round(seconds * rate), channels), np.int16), rate)
    return path


def endless_call(path: Path, hours: int = 20) -> Path:
    """Digital zero of many hours that takes no room on the disk."""
    data = hours * 3600 * 8_000 * 4
    header = b"RIFF" + struct.pack("<I", 36 + data) + b"WAVEfmt "
    header += struct.pack("<IHHIIHH", 16, 1, 2, 8_000, 32_000, 4, 16)
    with path.open("wb") as file:
        file.write(header + b"data" + struct.pack("<I", data))
        file.truncate(44 + data)
    return path


# -- help ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize(
    ("command", "examples"),
    [
        ("", ["vad-agent replay call.wav", "vad-agent dead-air call.wav"]),
        (
            "replay",
            [
                "vad-agent replay call.wav --report call.html",
                "vad-agent replay call.wav --mode cue --events call.events.jsonl --trace -",
                "vad-agent replay operator.wav --client-file client.wav",
            ],
        ),
        ("dead-air", ["vad-agent dead-air call.wav --channel operator --threshold 10"]),
        ("script", ["vad-agent script check own.toml"]),
        ("script show", ["vad-agent script show --toml > own.toml"]),
        ("script check", ["vad-agent script check own.toml"]),
    ],
)
def test_help_has_its_examples_on_lines_of_their_own(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, examples: list[str], flag: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run(*command.split(), flag)
    assert (done.status, done.err) == (0, "")
    lines = [line.strip() for line in done.out.splitlines()]
    assert [one for one in examples if one not in lines] == []


@pytest.mark.parametrize("command", ["", "script"])
def test_no_command_shows_the_help_and_no_more(run: Run, command: str) -> None:
    done = run(*command.split())
    assert done.status == 2
    assert "Usage: vad-agent" in done.out + done.err
    assert "(see " not in done.err


def test_version(run: Run) -> None:
    assert run("--version") == CommandResult(0, f"vad-agent {__version__}\n", "")


# -- wrong arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("play call.wav", r"No such command 'play'.*\(see vad-agent --help\)"),
        ("replay", r"Missing argument 'FILE' \(see vad-agent replay --help\)"),
        ("replay a.wav b.wav", r"unexpected extra argument.*b\.wav.*\(see vad-agent replay --help"),
        ("replay a.wav --loud", r"No such option: --loud.*\(see vad-agent replay --help\)"),
        ("replay a.wav --mode both", "'--mode': 'both' is not one of 'auto', 'cue'"),
        ("dead-air a.wav --channel left", "'--channel': 'left' is not one of 'operator', 'client'"),
        ("script show --toml --diagram", "expected one of --diagram and --toml"),
        *(
            (f"dead-air a.wav --threshold {value}", rf"'--threshold': expected 0\.1.*got '{value}'")
            for value in ("nan", "-1", "0", "0.09", "3601", "inf", "2,5", "long", "1e400")
        ),
    ],
)
def test_wrong_arguments(run: Run, arguments: str, expected: str) -> None:
    line = refused(run(*arguments.split()))
    assert re.search(expected, line), line


# -- wrong files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["replay", "dead-air"])
def test_files_that_are_no_recording(run: Run, tmp_path: Path, command: str) -> None:
    text = tmp_path / "text.wav"
    text.write_text("Алло?", encoding="utf-8")
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path, expected in [
        (tmp_path / "none.wav", "no such file: check the path"),
        (tmp_path, "a folder: name one audio file"),
        (text, "not an audio file that can be read"),
        (empty, "empty (0 bytes)"),
        (wav(tmp_path / "no_samples.wav", 0), "no samples"),
        (Path("/dev/null"), "a pipe or a device"),
    ]:
        line = refused(run(command, path))
        assert line.startswith(f"{path}: ")
        assert expected in line


def test_a_file_without_permission(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:  # root, who may run this, reads every file
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(audio_file, "open", denied, raising=False)
    assert f"{CALL}: no permission to read it: check the owner" in refused(run("replay", CALL))


def test_channels_that_are_not_there(run: Run, tmp_path: Path) -> None:
    mono = wav(tmp_path / "mono.wav", 1, channels=1)
    assert "pass the client's file with --client-file" in refused(run("replay", mono))
    assert "expected left, right or a number" in refused(
        run("replay", CALL, "--client-channel", "x")
    )
    assert "no channel 2: it has 0 to 1" in refused(run("replay", CALL, "--client-channel", "2"))
    same = refused(run("replay", CALL, "--client-channel", "left", "--operator-channel", "0"))
    assert "both channel 0" in same
    assert "choose one with --client-channel" in refused(run("replay", mono, "--client-file", CALL))


def test_all_that_is_wrong_with_the_events_is_told_before_anything_else(
    run: Run, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"t": 1, "kind": "held"}\n\nhold\n{"kind": "hold"}\n', encoding="utf-8")
    trace = tmp_path / "trace.jsonl"
    done = run("replay", CALL, "--events", events, "--trace", trace)
    assert (done.status, done.out) == (2, "")
    assert [line.split(": ")[:2] for line in done.errors] == [
        [str(events), "line 1"],
        [str(events), "line 3"],
        [str(events), "line 4"],
    ]
    assert not trace.exists()


def test_all_that_is_wrong_with_a_script_is_told(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "own.toml"
    script.write_text("shop = 5\n[prompts.not_heard]\nwindow_s = [3.0, 2.0]\nx = 1\n", "utf-8")
    for arguments in (
        ["replay", CALL, "--script", script],
        ["script", "check", script],
        ["script", "show", script],
    ):
        done = run(*arguments)
        assert (done.status, done.out) == (2, "")
        assert len(done.errors) == 3
        assert all(line.startswith(f"{script}: ") for line in done.errors)
    assert refused(run("replay", CALL, "--script", tmp_path / "no.toml")).endswith("no such file")


# -- what it writes --------------------------------------------------------------------------------


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_timeline(run: Run) -> None:
    done = run("replay", CALL, "--no-speech")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "  0:00.02    phase     greeting"
    assert [line[11] for line in lines if " prompt " in line] == ["✓"] * 3
    assert any("☎ callback  silence_after_greeting  at once  «Здр" in line for line in lines)
    assert not any(" speech " in line for line in lines)
    assert " speech " in run("replay", CALL).out


def test_the_trace_on_stdout_is_the_trace_in_a_file(run: Run, tmp_path: Path) -> None:
    path, page = tmp_path / "trace.jsonl", tmp_path / "call.html"
    assert run("replay", CALL, "--trace", path) == CommandResult(0, "", "")
    shown = run("replay", CALL, "--trace", "-", "--report", page)
    assert (shown.status, shown.err) == (0, "")
    assert shown.out == path.read_text(encoding="utf-8")
    assert {line["kind"] for line in objects(shown.out)} >= {"phase", "line", "prompt", "hangup"}
    assert "<html" in page.read_text(encoding="utf-8")


def test_a_report_is_named_under_the_timeline(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    done = run("replay", CALL, "--report", page)
    assert done.out.splitlines()[-1] == f"report: {page}"


def test_dead_air_is_json_lines(run: Run) -> None:
    done = run("dead-air", CALL)
    assert (done.status, done.err) == (0, "")
    assert objects(done.out) == [
        {"fired_s": 2.5, "silence_started_s": 0.0, "cause": "live", "channel": "client"}
    ]
    operator = objects(run("dead-air", CALL, "--channel", "operator", "--threshold", "10").out)
    assert [line["channel"] for line in operator] == ["operator"]
    assert operator[0]["fired_s"] - operator[0]["silence_started_s"] == pytest.approx(10)


def test_a_recording_shorter_than_the_threshold(run: Run, tmp_path: Path) -> None:
    assert run("dead-air", wav(tmp_path / "short.wav", 1)) == CommandResult(0, "", "")
    assert run("dead-air", wav(tmp_path / "mono.wav", 2.5, channels=1)).out.count("\n") == 1


def test_two_files(run: Run) -> None:
    left, right = FOLDER / "client_leg_ends.operator.flac", FOLDER / "client_leg_ends.client.flac"
    done = run("replay", left, "--client-file", right, "--trace", "-")
    assert objects(done.out)[-2]["reason"] == "dropped"


def test_two_files_of_very_different_length(run: Run, tmp_path: Path) -> None:
    """Pauses were left out of one: what it lacks at its end is no drop, and nothing rests on it."""
    left, right = wav(tmp_path / "o.wav", 40, channels=1), wav(tmp_path / "c.wav", 10, channels=1)
    done = run("replay", left, "--client-file", right, "--trace", "-")
    assert done.status == 0
    assert "the client's file ends after 10.0 s of 40.0" in done.err
    kinds = [line["kind"] for line in objects(done.out)]
    assert "callback" not in kinds
    assert {"t": 10.0, "kind": "alert", "id": "client_recording_ended"} in objects(done.out)


def test_swapped_channels(run: Run) -> None:
    done = run("replay", FOLDER / "swapped_channels.flac", "--client-channel", "left")
    assert "greeting_again" in done.out


def test_cue_mode(run: Run) -> None:
    call = FOLDER / "greeting_silence_cue.flac"
    done = run("replay", call, "--mode", "cue")
    assert "→ cue       greeting_again  to be said between" in done.out
    assert "said_by_operator" in done.out


def test_a_truncated_recording_is_told_and_replayed(run: Run, tmp_path: Path) -> None:
    path = wav(tmp_path / "call.wav", 10)
    with path.open("r+b") as file:
        file.truncate(44 + 5 * 32_000)
    done = run("replay", path)
    assert done.status == 0
    assert done.errors == [f"warning: {path}: truncated: 5.0 s of 10.0 s are there"]
    assert done.out.endswith("  0:05.00    phase     ended\n")


def test_events_after_the_end_are_told(run: Run, tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(
        '{"t": 40, "kind": "hold"}\n{"t": 10, "kind": "hangup", "party": "operator"}\n', "utf-8"
    )
    done = run("replay", CALL, "--events", events, "--trace", "-")
    assert done.status == 0
    assert objects(done.out)[-1]["t"] == 10
    (warning,) = done.errors
    assert warning.startswith(f"warning: {events}: 1 of 2 events come after the call's end at 10 s")
    assert "hold at 40 s" in warning


# -- what it must not overwrite, and cannot write --------------------------------------------------


@pytest.mark.parametrize("option", ["--trace", "--report"])
@pytest.mark.parametrize("needed", ["call.flac", "client.flac", "events.jsonl", "own.toml"])
@pytest.mark.parametrize("how", ["same", "link", "other way"])
def test_what_it_reads_is_never_overwritten(
    run: Run, tmp_path: Path, option: str, needed: str, how: str
) -> None:
    for name in ("call.flac", "client.flac"):
        (tmp_path / name).write_bytes((FOLDER / "client_leg_ends.client.flac").read_bytes())
    (tmp_path / "events.jsonl").write_text('{"t": 1, "kind": "hold"}', "utf-8")
    (tmp_path / "own.toml").write_text('shop = "Магазин"', "utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    out = tmp_path / needed
    if how == "link":
        out = tmp_path / "out"
        out.symlink_to(needed)
    elif how == "other way":
        out = tmp_path / ".." / tmp_path.name / needed
    line = refused(
        run(
            "replay", tmp_path / "call.flac", "--client-file", tmp_path / "client.flac",
            "--events", tmp_path / "events.jsonl", "--script", tmp_path / "own.toml", option, out,
        )
    )  # fmt: skip
    assert f"{option}: {out}: it is read by this command: name another file" in line
    assert all(path.read_bytes() == content for path, content in before.items())


def test_trace_and_report_are_two_files(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    line = refused(run("replay", CALL, "--trace", out, "--report", out))
    assert f"--report: {out}: it is the trace" in line
    assert not out.exists()


@pytest.mark.parametrize("what", ["trace", "report"])
def test_places_that_cannot_be_written(run: Run, tmp_path: Path, what: str) -> None:
    for path, expected in [
        (tmp_path, "it is a folder: name a file in it"),
        (tmp_path / "none" / "out", f"there is no folder {tmp_path / 'none'}: create it first"),
        (tmp_path / ("x" * 300), "File name too long"),
    ]:
        done = run("replay", CALL, f"--{what}", path)
        assert done.status == 1
        (line,) = done.errors
        assert line.startswith(f"{path}: cannot write the {what}: ")
        assert expected in line


@POSIX
def test_a_report_never_takes_the_place_of_a_device(run: Run) -> None:
    done = run("replay", CALL, "--report", "/dev/full")
    assert done.status == 1
    assert done.errors == [
        "/dev/full: cannot write the report: it is a device or a pipe: name a file"
    ]


def test_an_older_trace_stays_where_the_recording_is_wrong(run: Run, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text("older", "utf-8")
    refused(run("replay", tmp_path / "none.wav", "--trace", trace))
    assert trace.read_text("utf-8") == "older"


@POSIX
def test_a_full_disk_for_the_trace(run: Run) -> None:
    done = run("replay", CALL, "--trace", "/dev/full")
    assert done.status == 1
    assert done.errors == ["/dev/full: cannot write the trace: No space left on device"]


@POSIX
@pytest.mark.parametrize(
    "arguments",
    [["replay", CALL], ["replay", CALL, "--trace", "-"], ["dead-air", CALL], ["--version"]],
    ids=lambda arguments: " ".join(arguments[::2]) if len(arguments) > 1 else arguments[0],
)
def test_a_full_disk_for_stdout(arguments: list[object]) -> None:
    with open("/dev/full", "wb") as full:
        done = finish(start(*arguments, stdout=full))
    assert done.status == 1
    (line,) = done.errors
    assert line.startswith("stdout: ")
    assert line.endswith("No space left on device")


def test_a_report_without_its_extra(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refused(run("replay", CALL, "--report", tmp_path / "call.html"))
    assert line == f"--report needs matplotlib: {install_extra('report')}"


# -- the script ------------------------------------------------------------------------------------


def test_a_script_is_shown_as_it_is(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "own.toml"
    script.write_text(
        'shop = "[bold]Лавка[/x] :smile:"\n'
        '[prompts.not_heard]\ntext = "Алло :smile:"\nwindow_s = [2.0, 3.0]\n',
        "utf-8",
    )
    done = run("script", "show", script)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"[bold]Лавка[/x] :smile: (operator's name not set), from {script}")
    assert "«Алло :smile:»" in done.out
    for part in ("hold_farewell", "60–61", "callback in 90 s", "callback at once", "dropped:"):
        assert part in done.out


def test_the_built_in_script_as_toml_is_right(run: Run, tmp_path: Path) -> None:
    script = tmp_path / "own.toml"
    script.write_text(run("script", "show", "--toml").out, "utf-8")
    assert run("script", "check", script) == CommandResult(0, f"{script}: right\n", "")


def test_the_diagram(run: Run) -> None:
    assert "stateDiagram" in run("script", "show", "--diagram").out


# -- the process: pipes, terminals, encodings, Ctrl-C ----------------------------------------------


@POSIX
@pytest.mark.parametrize("arguments", [[], ["--trace", "-"]])
def test_a_reader_who_has_seen_enough(tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        assert finish(start("replay", CALL, *arguments, stdout=gone)) == CommandResult(0, "", "")


@POSIX
def test_a_report_is_written_though_nobody_reads_the_trace(tmp_path: Path) -> None:
    page = tmp_path / "call.html"
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:
        done = finish(start("replay", CALL, "--trace", "-", "--report", page, stdout=gone))
    assert done == CommandResult(0, "", "")
    assert page.read_text("utf-8").endswith("</html>\n")


@POSIX
def test_stdout_that_is_closed() -> None:
    command = " ".join([*COMMAND, "replay", str(CALL), ">&-"])
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def hear_sigint() -> None:
    """A shell's background jobs ignore it, and so would what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@POSIX
@pytest.mark.parametrize("trace", ["-", "fifo"])
def test_ctrl_c_leaves_a_trace_of_whole_lines(tmp_path: Path, trace: str) -> None:
    call, fifo = endless_call(tmp_path / "call.wav"), tmp_path / "fifo"
    if trace == "-":
        process = start("replay", call, "--trace", "-", preexec_fn=hear_sigint)
        lines = process.stdout
    else:
        os.mkfifo(fifo)
        process = start("replay", call, "--trace", fifo, preexec_fn=hear_sigint)
        lines = fifo.open("rb")
    with lines:
        read = lines.readline() + lines.readline()  # now it is in the middle of the recording
        process.send_signal(signal.SIGINT)
        read += lines.read()
    with process:
        assert process.stderr.read().decode() == "vad-agent: interrupted\n"
    assert process.returncode == 130
    assert read.endswith(b"\n")
    assert [line["kind"] for line in objects(read.decode())][:2] == ["phase", "line"]


def test_ctrl_c_in_the_midst_of_decoding_comes_after_it() -> None:
    def vio_read() -> str:  # as soundfile names what its decoder calls
        signal.raise_signal(signal.SIGINT)
        return "read"

    def spin() -> None:
        while True:
            pass

    before = signal.signal(signal.SIGINT, main._interrupt)
    try:
        assert vio_read() == "read"
        with pytest.raises(KeyboardInterrupt):
            spin()
    finally:
        signal.signal(signal.SIGINT, before)


@POSIX
def test_the_progress_of_a_long_recording_is_no_part_of_its_output(tmp_path: Path) -> None:
    """stderr is a terminal, stdout a file: the lines belong into the file."""
    call = wav(tmp_path / "long.wav", 400)
    ours, theirs = pty.openpty()
    process = start("dead-air", call, stderr=theirs, env={"TERM": "xterm"})
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # Linux tells so that the other side is closed
        pass
    finally:
        os.close(ours)
    assert len(objects(out.decode())) == 1
    assert b"long.wav" in shown
    assert b"fired_s" not in shown


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("env", [PLAIN, {"PYTHONIOENCODING": "ascii"}], ids=["LC_ALL=C", "ascii"])
def test_a_terminal_without_unicode(env: dict[str, str]) -> None:
    done = finish(start("replay", CALL, "--no-speech", env=env))
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    # Inside or outside of the window can be told all the same.
    assert [line[11] for line in lines if " prompt " in line] == ["+"] * 3
    assert '(2-3 s)  said  "????????????' in done.out


def test_json_is_utf_8_whatever_the_terminal_is() -> None:
    done = finish(start("replay", CALL, "--trace", "-", env=PLAIN))
    assert done.status == 0
    texts = [line["text"] for line in objects(done.out) if line["kind"] == "prompt"]
    assert texts[1] == "К сожалению, вас не слышно"


def test_a_file_name_that_the_terminal_cannot_show() -> None:
    done = finish(start("replay", "нет.wav", env=PLAIN))
    assert done.status == 2
    assert done.errors[0].endswith(".wav: no such file: check the path")


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": ""}])
def test_no_colours_where_none_are_wanted(env: dict[str, str]) -> None:
    assert "\x1b" not in finish(start("replay", CALL, env=env)).out
