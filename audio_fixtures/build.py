"""Builds the fixtures: `python -m audio_fixtures.build --help`.

Debian packages, espeak-ng ──clips──> clips/*.flac ──recordings──> NAME.wav, NAME.flac
                                      NAME.recipe.toml ──┘         NAME.events.jsonl, README.md
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from audio_fixtures import clips, dsp, mix, readme, recipe
from audio_fixtures.clips import FixtureError

MADE_WITH: dict[clips.Source, str] = {
    "espeak": "1.51+dfsg-10+deb12u2",
    "asterisk": "1.6.1-1",
    "music": "2.03-1.1",
}
"""Versions of the packages that the committed clips were made with."""

_ABOUT = """\
Builds the test recordings in two stages.

  clips       out of Debian's voice and music packages and espeak-ng; needs them installed:
                apt-get install espeak-ng asterisk-core-sounds-ru-wav asterisk-moh-opsound-wav
  recordings  out of the committed clips and recipes alone; the same samples on every machine

To change a recording, edit NAME.recipe.toml and run `recordings`. To add a sound, add it to
clips/catalogue.toml, run `clips`, then use its name in a recipe. `show` prints what a recipe means.
"""


def installed(package: str) -> str | None:
    """The version of an installed Debian package, or None."""
    try:
        answer = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Status}\t${Version}", package],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except FileNotFoundError:  # no Debian
        return None
    status, _, version = answer.stdout.partition("\t")
    return version if status.endswith(" installed") else None


def build_clips(check: bool) -> int:
    """Stage 1."""
    changed = clips.rebuild(check)
    for name in changed:
        print(f"clips/{name}.flac {'differs from its source' if check else 'written'}")
    if check and (not clips.SUMS.exists() or clips.SUMS.read_text() != clips.sums()):
        print("clips/SHA256SUMS differs from the clips")
        return 1
    return 1 if check and changed else 0


def build_recordings(check: bool) -> int:
    """Stage 2."""
    recipes = recipe.load_all()
    changed = [name for one in recipes for name in mix.rebuild(one, check)]
    wanted = readme.text(recipes, MADE_WITH)
    found = readme.PATH.read_text(encoding="utf-8") if readme.PATH.exists() else ""
    if wanted != found:
        changed.append(readme.PATH.name)
        if not check:
            readme.PATH.write_text(wanted, encoding="utf-8")
    for name in changed:
        print(f"{name} {'differs from its recipe' if check else 'written'}")
    print(f"{len(recipes)} recordings, {len(changed)} files {'differ' if check else 'written'}")
    return 1 if check and changed else 0


def timeline(one: recipe.Recipe) -> Iterator[str]:
    """A recipe's truth, a line each, in order of time."""
    lines: list[tuple[int, str]] = []
    for sound in one.sounds:
        what = clips.catalogue()[sound.clip].what
        level = _level(sound)
        until = sound.end / recipe.FRAMES_PER_SECOND
        lines.append(
            (sound.at, f"- {until:6.2f}  {sound.channel:8}  {sound.clip} {level:5.1f} dBFS  {what}")
        )
    for event in one.events:
        body = {key: value for key, value in event.items() if key != "at"}
        lines.append((int(str(event["at"])), f"          event     {body}"))
    for start, end in one.silences():
        if end - start > recipe.FRAMES_PER_SECOND:
            lines.append((start, f"- {end / recipe.FRAMES_PER_SECOND:6.2f}  silence"))
    yield one.title
    for at, line in sorted(lines):
        yield f"{at / recipe.FRAMES_PER_SECOND:7.2f} {line}"
    yield from (f"expect: {text}" for text in one.expect)


def _level(sound: recipe.Sound) -> float:
    samples = dsp.gain(clips.load(sound.clip), sound.gain_db)
    rate = clips.catalogue()[sound.clip].rate
    if len(samples) < rate // recipe.FRAMES_PER_SECOND:  # a click: shorter than a frame
        samples = np.pad(samples, (0, rate // recipe.FRAMES_PER_SECOND - len(samples)))
    return dsp.active_level_db(samples, rate)


def show(names: list[str]) -> int:
    """Print timelines."""
    known = {one.name: one for one in recipe.load_all()}
    for name in names or list(known):
        if name not in known:
            raise FixtureError(f"{name}: no such recording; known: {', '.join(known)}")
        print(f"\n{name}")
        for line in timeline(known[name]):
            print(f"  {line}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m audio_fixtures.build",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True)
    for name, text in (
        ("clips", "stage 1: clips out of the packages"),
        ("recordings", "stage 2: recordings, events and README.md out of clips and recipes"),
    ):
        stage = stages.add_parser(name, help=text, description=text)
        stage.add_argument(
            "--check",
            action="store_true",
            help="write nothing; exit 1 where a committed file differs from what would be built",
        )
    shown = stages.add_parser("show", help="print recordings' truth as timelines")
    shown.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    options = parser.parse_args(arguments)
    try:
        if options.stage == "show":
            return show(options.names)
        return (build_clips if options.stage == "clips" else build_recordings)(options.check)
    except FixtureError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
