"""Letters as files: whole or not there, in order, for their owner alone."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vad_agent.callbacks import outbox as letters
from vad_agent.callbacks.outbox import STALE_S, Outbox, is_call, one_reader
from vad_agent.callbacks.outbox_message import (
    CALL,
    ENDED,
    KINDS,
    LONGEST,
    MODES,
    MOST_BYTES,
    REQUESTED,
    OutboxMessage,
    request_fields,
)
from vad_agent.errors import OutputError

ASKED = "2026-11-24T12:00:00+03:00"
PLAIN = OutboxMessage(REQUESTED, "k1", "call-1", ASKED, reason="dropped", due_in_s=0.0)
OF_CALL = OutboxMessage(
    CALL, "k1", "call-1", ASKED, operator="o1", began=ASKED, mode="auto", lines="AAAA"
)
SECRET = "Пелагея +79123456789"

TEXT = st.text(st.characters(), min_size=1, max_size=40)
"""Half letters (lone surrogates) and NULs, too."""
KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(
    lambda t: f"k{t}k"
)
CALLS = TEXT.filter(str.isprintable)
REASONS = st.text(min_size=1, max_size=32)
ODD = ["\ud800", "\0", "\u2028", "🎧", "й" * 40, "e\u0301", "\x7f", '"\\', "</script>", " "]
LETTERS = st.builds(
    OutboxMessage,
    kind=st.sampled_from(KINDS),
    key=KEYS,
    call=CALLS,
    asked=TEXT,
    reason=REASONS,
    due_in_s=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    at=st.none() | st.text(st.characters()),
    phone=st.none() | st.text(st.characters()),
    name=st.none() | st.text(st.characters()) | st.sampled_from(ODD),
    topic=st.none() | st.text(st.characters()),
    opening=st.none() | st.text(st.characters()),
    operator=st.none() | st.text(st.characters()),
    session=st.none() | st.text(st.characters()),
    began=TEXT,
    mode=st.sampled_from(MODES),
    lines=TEXT,
)


# -- a letter as text -------------------------------------------------------------------------------


@given(LETTERS)
def test_a_letter_that_is_written_and_read_is_the_same(letter: OutboxMessage):
    text = letter.to_json()
    assert OutboxMessage.parse(text) == OutboxMessage.parse(text.encode()) == letter
    assert text.isascii()
    assert "\n" not in text
    assert None not in json.loads(text).values()


def without(name: str) -> str:
    told = json.loads(PLAIN.to_json())
    del told[name]
    return json.dumps(told)


def having(**other: Any) -> str:
    return json.dumps(json.loads(PLAIN.to_json()) | other)


def call_having(**other: Any) -> str:
    return json.dumps(json.loads(OF_CALL.to_json()) | other)


MALFORMED = {
    "nothing": "",
    "half a letter": PLAIN.to_json()[:-9],
    "two letters": PLAIN.to_json() * 2,
    "a list": f'["{SECRET}"]',
    "a text": f'"{SECRET}"',
    "a number": "79123456789",
    "null": "null",
    "nested without end": "[" * 30_000,
    "nested in a field": having()[:-1] + ', "x": ' + "[" * 30_000,
    "not Unicode": PLAIN.to_json().encode() + b"\xff",
    "zeros, as after a power cut": b"\0" * 300,
    "an unknown kind": having(kind=SECRET),
    "no kind": without("kind"),
    "a kind that is a list": having(kind=[SECRET]),
    "a kind that is an object": having(kind={SECRET: 1}),
    "a request without a reason": without("reason"),
    "an empty reason": having(reason=""),
    "an unending due_in_s": having()[:-1] + ', "due_in_s": 1e999}',
    "a due_in_s that is no number": having(due_in_s=float("nan")),
    "a due_in_s below all": having(due_in_s=float("-inf")),
    "a due_in_s that is a text": having(due_in_s=SECRET),
    "a due_in_s that is true": having(due_in_s=True),
    "a due_in_s of 5,000 digits": having()[:-1] + f', "due_in_s": {"9" * 5000}}}',
    "a key that no header can carry": having(key="ключ"),
    "a key that begins with a space": having(key=" k"),
    "a key of two lines": having(key="a\r\nb: c"),
    "a call of two lines": having(call="a\nb"),
    "half a letter in a call": having(call="\ud800"),
    **{
        f"{name} of {most + 1} signs": having(**{name: "k" * (most + 1)})
        for name, most in LONGEST.items()
    },
    **{f"no {name}": without(name) for name in ("key", "call", "asked")},
    **{f"an empty {name}": having(**{name: ""}) for name in ("key", "call", "asked")},
    **{
        f"{name} is {value!r}": having(**{name: value})
        for name in ("key", "call", "asked", "phone", "name", "topic", "opening", "at", "session")
        for value in (79123456789, True, [SECRET], {SECRET: SECRET})
    },
    **{
        f"a call whose {name} is {value!r}": call_having(**{name: value})
        for name in ("began", "mode", "lines")
        for value in (None, "", 79123456789, True, [SECRET], {SECRET: SECRET})
    },
    "a call in an unknown mode": call_having(mode=SECRET),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_letter_is_refused_and_not_repeated(text: str | bytes):
    with pytest.raises(ValueError, match=r".") as refused:
        OutboxMessage.parse(text)
    said = str(refused.value)
    assert len(said) < 200
    assert not any(part in said for part in ("Пелагея", "79123456789", "ключ"))


@given(st.binary(max_size=200) | TEXT | st.recursive(
    st.none() | st.booleans() | st.floats() | st.sampled_from([*KINDS, SECRET]),
    lambda inner: st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(OutboxMessage)]), inner
    ),
).map(json.dumps))  # fmt: skip
def test_whatever_is_read_is_a_letter_or_a_value_error(data: str | bytes):
    try:
        letter = OutboxMessage.parse(data)
    except ValueError:
        return
    assert OutboxMessage.parse(letter.to_json()) == letter


def test_what_a_later_version_adds_is_left_out():
    assert OutboxMessage.parse(having(colour="blue", version=2)) == PLAIN


def test_a_letter_shows_nothing_personal_where_it_is_printed():
    secrets = dict.fromkeys(("phone", "name", "topic", "opening", "lines"), SECRET)
    letter = dataclasses.replace(PLAIN, **secrets)  # type: ignore[arg-type]
    assert SECRET not in repr(letter)
    assert "call-1" in repr(letter)


def test_as_a_request_it_has_all_that_is_known_but_its_kind():
    body = request_fields(dataclasses.replace(PLAIN, phone="+79123456789"))
    told = json.loads(PLAIN.to_json())
    del told["kind"]
    assert body == told | {"phone": "+79123456789", "call_on": True, "keep_wrong_number": True}


def test_as_a_request_it_has_nothing_of_a_whole_call():
    letter = dataclasses.replace(PLAIN, began=ASKED, mode="auto", lines="AAAA")
    assert request_fields(letter) == request_fields(PLAIN)


def test_a_call_needs_no_reason_and_only_a_call_needs_a_trace():
    assert OutboxMessage.parse(OF_CALL.to_json()) == OF_CALL
    assert OutboxMessage.parse(having(mode="any")).mode == "any"


# -- order ------------------------------------------------------------------------------------------


def numbered(count: int, stem: str = "k") -> list[OutboxMessage]:
    return [dataclasses.replace(PLAIN, key=f"{stem}{number}") for number in range(count)]


def keys(outbox: Outbox) -> list[str]:
    return [outbox.read(path).key for path in outbox.waiting()]


def test_letters_are_read_in_the_order_in_which_they_were_posted(tmp_path: Path):
    outbox = Outbox(tmp_path / "outbox")
    for letter in numbered(30):
        outbox.post(letter)
    assert keys(outbox) == [letter.key for letter in numbered(30)]


CLOCKS: dict[str, Callable[[int], int]] = {
    "goes back": lambda look: 10**18 - look * 10**9,
    "stands": lambda look: 10**18,
    "is coarse": lambda look: 10**18 + look // 7 * 15_600_000,
    "was never set": lambda look: look // 3,
}


@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_the_order_is_kept_where_the_clock(
    clock: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    looks = iter(range(1000))
    monkeypatch.setattr(letters.time, "time_ns", lambda: clock(next(looks)))
    outbox = Outbox(tmp_path)
    for letter in numbered(30):
        outbox.post(letter)
    assert keys(outbox) == [letter.key for letter in numbered(30)]


def test_threads_post_side_by_side_and_each_keeps_its_order(tmp_path: Path):
    outbox = Outbox(tmp_path)
    together = threading.Barrier(4)

    def post(stem: str) -> None:
        together.wait()
        for letter in numbered(25, stem):
            outbox.post(letter)

    threads = [threading.Thread(target=post, args=(stem,)) for stem in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = keys(outbox)
    assert len(read) == 100
    for stem in "abcd":
        assert [key for key in read if key[0] == stem] == [one.key for one in numbered(25, stem)]


def test_calls_come_after_all_others_and_each_kind_in_its_order(tmp_path: Path):
    outbox = Outbox(tmp_path)
    for number, letter in enumerate([OF_CALL, PLAIN, OF_CALL, PLAIN, OF_CALL]):
        outbox.post(dataclasses.replace(letter, key=f"k{number}"))
    assert keys(outbox) == ["k1", "k3", "k0", "k2", "k4"]
    assert [is_call(path) for path in outbox.waiting()] == [False, False, True, True, True]


def test_what_comes_meanwhile_goes_before_the_next_call(tmp_path: Path):
    outbox = Outbox(tmp_path)
    for key in ("c1", "c2", "c3"):
        outbox.post(dataclasses.replace(OF_CALL, key=key))
    took: list[str] = []

    def take(path: Path) -> int:
        took.append(outbox.read(path).key)
        if took[-1] == "c1":
            outbox.post(dataclasses.replace(PLAIN, key="k1"))
            outbox.post(dataclasses.replace(PLAIN, kind=ENDED, key="k2"))
        if took[-1] != "c2":  # that one stays, and is not given again
            outbox.done(path)
        return 1

    assert outbox.each(take) == 5
    assert took == ["c1", "k1", "k2", "c2", "c3"]
    assert keys(outbox) == ["c2"]


def test_two_outboxes_of_one_process_never_write_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(letters.time, "time_ns", lambda: 10**18)
    first, second = Outbox(tmp_path), Outbox(tmp_path)
    for one, other in zip(numbered(5, "a"), numbered(5, "b"), strict=True):
        first.post(one)
        second.post(other)
    assert len(set(keys(first))) == 10


# -- on the disk ------------------------------------------------------------------------------------

POSTING = """
    import os, resource, signal, sys
    from pathlib import Path
    from vad_agent.callbacks.outbox import Outbox
    from vad_agent.callbacks.outbox_message import OutboxMessage
    def post(key, **more):
        asked = "2026-11-24T12:00:00+03:00"
        outbox.post(OutboxMessage("requested", key, "call", asked, "dropped", **more))
    outbox = Outbox(Path(sys.argv[1]))
"""


def posting(script: str, folder: Path) -> subprocess.Popen[bytes]:
    code = textwrap.dedent(POSTING) + textwrap.dedent(script)
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)


def ends(*processes: subprocess.Popen[bytes]) -> list[int]:
    for process in processes:
        process.communicate(timeout=30)
    return [process.returncode for process in processes]


def test_a_letter_is_whole_though_its_process_is_killed_right_after(tmp_path: Path):
    script = "post('k1', opening='я' * 900); os.kill(os.getpid(), signal.SIGKILL)"
    assert ends(posting(script, tmp_path)) == [-signal.SIGKILL]
    outbox = Outbox(tmp_path)
    [path] = outbox.waiting()
    assert outbox.read(path).opening == "я" * 900
    assert list(tmp_path.iterdir()) == [path]


KILLED_IN = {
    "the first byte": "write",
    "the draft's way to the disk": "fsync",
    "the draft's renaming": "replace",
}


@pytest.mark.parametrize("call", KILLED_IN.values(), ids=KILLED_IN)
def test_a_kill_in_the_middle_leaves_no_letter_or_a_draft_that_nobody_reads(
    call: str, tmp_path: Path
):
    script = f"""
        real = os.write
        def die(*args):
            if {call!r} == "write":
                real(args[0], bytes(args[1])[:20])
            os.kill(os.getpid(), signal.SIGKILL)
        os.{call} = die
        post("k1")
    """
    assert ends(posting(script, tmp_path)) == [-signal.SIGKILL]
    outbox = Outbox(tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".draft"]
    assert outbox.waiting() == []
    outbox.post(PLAIN)
    assert keys(outbox) == ["k1"]


def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(tmp_path: Path):
    script = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            post("k1", opening="я" * 200)
        except Exception as error:
            print(type(error).__name__, list(Path(sys.argv[1]).iterdir()))
    """
    process = posting(script, tmp_path)
    said, _ = process.communicate(timeout=30)
    assert said.decode().split() == ["OutputError", "[]"]


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_what_cannot_be_written_is_said_and_leaves_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    outbox = Outbox(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(letters.os, call, failing(errno.ENOSPC))
        with pytest.raises(OutputError, match="No space left on device") as refused:
            outbox.post(dataclasses.replace(PLAIN, name=SECRET))
        assert SECRET not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    outbox.post(PLAIN)
    assert keys(outbox) == ["k1"]


def test_a_folder_that_cannot_be_brought_to_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(letters, "_sync_folder", failing(errno.EIO))
    with pytest.raises(OutputError):
        Outbox(tmp_path).post(PLAIN)
    assert list(tmp_path.iterdir()) == []


def test_letters_are_written_where_folders_cannot_be_synced_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = os.fsync

    def fsync(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            failing(errno.EINVAL)()
        real(number)

    outbox = Outbox(tmp_path)
    monkeypatch.setattr(letters.os, "fsync", fsync)
    outbox.post(PLAIN)
    assert keys(outbox) == ["k1"]


def test_the_letter_and_its_name_are_synced_before_post_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_sync(number: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        fsync(number)

    def noted_replace(*paths: Any) -> None:
        done.append("name")
        replace(*paths)

    outbox = Outbox(tmp_path)
    monkeypatch.setattr(letters.os, "fsync", noted_sync)
    monkeypatch.setattr(letters.os, "replace", noted_replace)
    outbox.post(PLAIN)
    assert done == ["file", "name", "folder"]


def test_a_folder_that_was_taken_away_is_made_anew(tmp_path: Path):
    outbox = Outbox(tmp_path / "outbox")
    (tmp_path / "outbox").rmdir()
    outbox.post(PLAIN)
    assert keys(outbox) == ["k1"]


def test_a_folder_in_which_nothing_can_be_made_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        Outbox(tmp_path / "file" / "outbox")


def test_two_processes_post_into_one_folder(tmp_path: Path):
    script = "for n in range(40): post(f'{os.getpid()}-{n}')"
    assert ends(*[posting(script, tmp_path) for _ in range(2)]) == [0, 0]
    read = [key.split("-") for key in keys(Outbox(tmp_path))]
    processes = {process for process, _ in read}
    assert len(processes) == 2
    for one in processes:
        assert [int(n) for process, n in read if process == one] == list(range(40))


@pytest.fixture
def loose_mask() -> Iterable[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("loose_mask")
def test_folder_letter_and_what_is_refused_are_their_owners_alone(tmp_path: Path):
    outbox = Outbox(tmp_path / "state" / "outbox")
    path = outbox.post(PLAIN)
    with one_reader(outbox.folder):
        kept = outbox.refuse(outbox.post(PLAIN))
    for folder in (tmp_path / "state", outbox.folder, kept.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in (path, kept, outbox.folder / ".reader.lock"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


# -- reading ----------------------------------------------------------------------------------------


def test_only_whole_letters_wait(tmp_path: Path):
    outbox = Outbox(tmp_path)
    path = outbox.post(PLAIN)
    (tmp_path / "0-1.draft").write_text(PLAIN.to_json())
    (tmp_path / "0-2.json~").write_text(PLAIN.to_json())
    (tmp_path / "0-3.json").mkdir()
    os.mkfifo(tmp_path / "0-4.json")
    assert outbox.waiting() == [path]


WRONG_CLOCKS = ["1970-01-01T00:00:07+03:00", "2100-01-01T00:00:00Z", "2026-11-24T12:00:00", "noon"]


@pytest.mark.parametrize("asked", [ASKED, *WRONG_CLOCKS])
def test_a_time_that_the_desk_would_refuse_is_left_to_the_desk(asked: str):
    body = request_fields(dataclasses.replace(PLAIN, asked=asked))
    assert body.get("asked") == (ASKED if asked == ASKED else None)


def test_an_agreed_time_goes_without_the_seconds_until_then():
    far = dataclasses.replace(PLAIN, reason="agreed", at="2031-01-01T12:00", due_in_s=1.3e8)
    body = request_fields(far)
    assert body["at"] == "2031-01-01T12:00"
    assert "due_in_s" not in body


@pytest.mark.parametrize("longer", [0, 1])
def test_a_letter_of_more_than_64_kib_is_none(longer: int, tmp_path: Path):
    path = tmp_path / "1-1.json"
    path.write_text(PLAIN.to_json().ljust(MOST_BYTES + longer))
    outbox = Outbox(tmp_path)
    if longer:
        with pytest.raises(ValueError, match="too long"):
            outbox.read(path)
    else:
        assert outbox.read(path) == PLAIN


def test_what_is_done_is_gone_and_may_be_done_twice(tmp_path: Path):
    outbox = Outbox(tmp_path)
    path = outbox.post(PLAIN)
    outbox.done(path)
    outbox.done(path)
    assert outbox.waiting() == []


def test_what_is_refused_waits_no_more_and_is_kept_as_it_is(tmp_path: Path):
    outbox = Outbox(tmp_path)
    path = tmp_path / "1-1.json"
    path.write_bytes(b"\xff")
    kept = outbox.refuse(path)
    assert outbox.waiting() == []
    assert kept.read_bytes() == b"\xff"
    assert kept.parent.parent == tmp_path


def test_a_folder_has_one_reader_at_a_time(tmp_path: Path):
    with one_reader(tmp_path), pytest.raises(BlockingIOError), one_reader(tmp_path):
        pass
    with one_reader(tmp_path):
        pass


def test_a_reader_that_was_killed_blocks_nobody(tmp_path: Path):
    script = """
        from vad_agent.callbacks.outbox import one_reader
        with one_reader(Path(sys.argv[1])):
            print("has it", flush=True)
            signal.pause()
    """
    process = posting(script, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"has it\n"
    with pytest.raises(BlockingIOError), one_reader(tmp_path):
        pass
    process.kill()
    ends(process)
    with one_reader(tmp_path):
        pass


def test_a_reader_that_stands_still_is_followed_by_another(tmp_path: Path):
    outbox = Outbox(tmp_path)
    paths = [outbox.post(PLAIN), outbox.post(PLAIN)]
    taken: list[Path] = []

    def take(path: Path) -> int:
        taken.append(path)
        return 1

    def stand_still(path: Path) -> int:
        """Meanwhile another reads."""
        assert Outbox(tmp_path).each(take) == 0
        os.utime(tmp_path / ".reader.lock", (0, time.time() - STALE_S - 1))
        assert Outbox(tmp_path).each(take) == 2
        return 1

    assert outbox.each(stand_still) == 1  # it ends before the second message
    assert taken == paths
    with one_reader(tmp_path):
        pass
