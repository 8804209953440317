"""Takes spoken lines and music out of games' archives, as files that soundfile reads.

    Beneath a Steel Sky            sky.dnr: a table   sky.dsk: 8-bit samples, packed (RNC ProPack, method 1)
    Flight of the Amazon Queen     queen.1c: a table, then an MP3 file a line
    Drascula                       a file of 8-bit samples a line
    Nexuiz, UFO: Alien Invasion    a ZIP archive of music

As ScummVM reads them (engines/sky/disk.cpp, engines/queen/resource.cpp, engines/drascula/sound.cpp).
"""

from __future__ import annotations

import struct
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]

FOLDER = "lines"
"""Beside the packages' own folders."""
GAME_RATE = 11_025


class Packed:
    """RNC's bits (words of 16, little-endian, lowest first) and bytes, interleaved."""

    def __init__(self, data: bytes) -> None:
        self.data = data + bytes(8)
        self.at = 18
        self.bits = self._word()
        self.count = 16

    def _word(self) -> int:
        return self.data[self.at] | self.data[self.at + 1] << 8

    def take(self, count: int) -> int:
        """So many bits."""
        value = self.bits & ((1 << count) - 1)
        self.bits >>= count
        self.count -= count
        if self.count < 16:
            self.at += 2
            self.bits |= self._word() << self.count
            self.count += 16
        return value

    def literal(self, count: int) -> bytes:
        """So many bytes; the word that the bits looked ahead to is read again behind them."""
        out = self.data[self.at : self.at + count]
        self.at += count
        self.count -= 16
        self.bits &= (1 << self.count) - 1
        self.bits |= self._word() << self.count
        self.count += 16
        return out

    def table(self) -> tuple[int, list[tuple[int, int]]]:
        """A Huffman table: the mask of its longest code; (code's length, value) by the next bits."""
        lengths = [self.take(4) for _ in range(self.take(5))]
        longest = max(lengths, default=0)
        out = [(0, 0)] * (1 << longest)
        code = 0
        for length in range(1, longest + 1):
            for value, one in enumerate(lengths):
                if one == length:
                    mirrored = int(f"{code:0{length}b}"[::-1], 2)
                    for high in range(1 << (longest - length)):
                        out[high << length | mirrored] = (length, value)
                    code += 1
            code <<= 1
        return (1 << longest) - 1, out

    def value(self, table: tuple[int, list[tuple[int, int]]]) -> int:
        """The next number by a table."""
        length, value = table[1][self.bits & table[0]]
        self.take(length)
        return value if value < 2 else 1 << (value - 1) | self.take(value - 1)


def unpack(data: bytes) -> bytes:
    """What RNC ProPack (method 1) has packed."""
    source = Packed(data)
    source.take(2)
    out = bytearray()
    for _ in range(data[17]):
        literals, distances, lengths = source.table(), source.table(), source.table()
        left = source.take(16)
        while True:
            if count := source.value(literals):
                out += source.literal(count)
            left -= 1
            if left <= 0:
                break
            distance = source.value(distances) + 1
            length = source.value(lengths) + 2
            begin = len(out) - distance
            out += (out[begin:] * (length // distance + 1))[:length]
    return bytes(out)


def _write(path: Path, samples: bytes) -> None:
    """Unsigned 8-bit samples as a WAV file."""
    wave = (np.frombuffer(samples, np.uint8).astype(np.int16) - 128) * 256
    soundfile.write(path, wave, GAME_RATE)


def _sky_line(job: tuple[Path, bytes]) -> None:
    path, data = job
    packed = data[22:25] == b"RNC"
    # The header of 22 bytes is not packed, and there is sound from the packed block's header on.
    _write(path, unpack(data[22:]) if packed else data[22:])


def _sky(folder: Path, out: Path) -> None:
    table = (folder / "sky.dnr").read_bytes()
    disk = (folder / "sky.dsk").read_bytes()
    jobs = []
    (count,) = struct.unpack_from("<I", table)
    for number, where, extent in struct.iter_unpack("<H3s3s", table[4 : 4 + 8 * count]):
        if not 50_000 <= number < 59_000:
            continue
        offset = int.from_bytes(where, "little")
        size = int.from_bytes(extent, "little") & 0x3FFFFF
        begin = (offset & 0x7FFFFF) << (4 if offset >> 23 else 0)
        jobs.append((out / f"{number}.wav", disk[begin : begin + size]))
    with ProcessPoolExecutor(2) as workers:
        list(workers.map(_sky_line, jobs, chunksize=50))


def _queen(folder: Path, out: Path) -> None:
    data = (folder / "queen.1c").read_bytes()
    (count,) = struct.unpack_from(">H", data, 13)
    for name, _, offset, size in struct.iter_unpack(">12sBII", data[15 : 15 + 21 * count]):
        text = name.rstrip(b"\0").decode("ascii")
        if text.endswith(".SB"):
            (out / f"{text[:-3]}.mp3").write_bytes(data[offset : offset + size])


def _drascula(folder: Path, out: Path) -> None:
    for path in sorted(folder.glob("*.ALS")):
        _write(out / f"{path.stem}.wav", path.read_bytes()[64:])


def _music(archive: Path, out: Path) -> None:
    """The pieces of a game's ZIP archive."""
    with zipfile.ZipFile(archive) as pieces:
        for name in pieces.namelist():
            if name.endswith(".ogg"):
                (out / name.replace("/", "-")).write_bytes(pieces.read(name))


def extract(share: Path) -> None:
    """Everything under `share`/FOLDER, once."""
    games = share / "scummvm"
    for name, folder, take in (
        ("sky", games / "beneath-a-steel-sky", _sky),
        ("queen", games / "flight-of-the-amazon-queen", _queen),
        *((f"drascula-{x}", games / "drascula" / x, _drascula) for x in ("en", "es", "it")),
        ("nexuiz", share / "games/nexuiz/data/music.pk3", _music),
        ("ufoai", share / "games/ufoai/base/0music.pk3", _music),
    ):
        out = share / FOLDER / name
        if not (out / ".ready").exists():
            out.mkdir(parents=True, exist_ok=True)
            take(folder, out)
            (out / ".ready").touch()
