"""Aligns what the operator said in one stretch without the client with the script's ladder. Pure.

    client    ███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    operator  ▁▁▁██▁▁▁▁████▁▁▁████▁▁▁▁▁▁▁
                 reply    step 1   step 2      which utterance is which step is decided by the pauses

A recording does not tell what was said. It tells the pause before each utterance, and each explanation of
an utterance (a reply, words that go on, a step within, before or after its window, something else) expects
pauses of its own length. So the stretch is a hidden Markov model over (utterances used, steps done). Its most
probable path gives the steps. The sum over all paths gives the probability of each verdict: if one of two
steps with the same window was said, nothing tells which, and either verdict has a half.

A live session decides step by step, and cannot revise: an early phrase shifts all later ones by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import erf, exp, expm1, fsum, log, pi, sqrt

from vad_agent.trace.window_compliance import PhraseCompliance

Bounds = tuple[float, float]
"""A window: its first and last second of silence."""
Told = tuple[int, int, PhraseCompliance]
"""Step, utterance (missing: the one before which it is missing), status."""
Odds = dict[tuple[int, PhraseCompliance], float]
"""Probability of a step's status. What lacks to 1: the step was not due."""

IN_TIME, LATE, EARLY, SKIPPED, LEFT = 0.65, 0.1, 0.05, 0.1, 0.1
"""Probabilities of a step. Left: and all after it."""
LATE_S, EARLY_S = 2.0, 0.7
"""Mean seconds outside of the window."""
BLUR_S = 0.15
"""Deviation of a measured pause."""
REPLIES, REPLY_S, REPLY_SPREAD = 0.5, 0.9, 0.6
"""The operator replies to the client; the pause's median, and the deviation of its logarithm."""
GOES_ON, GOES_ON_S = 0.2, 0.8
"""The operator goes on with their own words; the pause's mean."""
OTHER, OTHER_S = 0.05, 5.0
"""The operator says something else; the pause's mean."""
HANGS_UP = 0.2
"""The operator ends the call after a phrase that is not the last one."""


@dataclass(frozen=True, slots=True)
class OperatorUtterance:
    """An utterance of the operator. Seconds; `gap`: silence of both sides before it."""

    start: float
    end: float
    gap: float


@dataclass(frozen=True, slots=True)
class AlignedStep:
    """One step of the ladder that was due, and the utterance that it is; None: it is missing."""

    number: int
    status: PhraseCompliance
    said: OperatorUtterance | None
    window: Bounds
    """The window by which it is judged."""
    off: float
    """Seconds outside of the window; negative: early."""
    base: float
    """Where its silence began."""
    probability: float
    """Of this status of this step, over all explanations of the stretch."""


def distance(gap: float, windows: Sequence[Bounds]) -> tuple[float, Bounds]:
    """Seconds by which `gap` is outside the nearest window (0: inside; negative: early), and that window."""

    def off(window: Bounds) -> float:
        return round(min(gap - window[0], 0.0) or max(gap - window[1], 0.0), 2)

    nearest = min(windows, key=lambda window: abs(off(window)))
    return off(nearest), nearest


def align(
    said: Sequence[OperatorUtterance],
    ladder: Sequence[Sequence[Bounds]],
    *,
    base: float,
    until: float,
    tolerance: float,
    ended: bool = False,
    replies: bool = False,
) -> list[AlignedStep]:
    """The steps of `ladder` that were due in the stretch, in order.

    `said`: the operator's utterances in order. `ladder`: the windows of each step; one is enough.
    `base`: where the first silence began. `until`: where the stretch ends: a step whose window did not
    end `tolerance` before it was not due. `ended`: the call ended there. `replies`: the client spoke last
    before `base`. All in seconds.
    """
    model = _Stretch(said, ladder, base, until, tolerance, ended, replies)
    found = model.explained()
    steps = []
    for step, at, status in found.told():
        probability = found.odds[step, status]
        if status is PhraseCompliance.MISSING:
            one = AlignedStep(
                step, status, None, ladder[step][0], 0.0, model.origin(at), probability
            )
        else:
            _, off = model.status(step, at)
            _, window = distance(said[at].gap, ladder[step])
            start = round(said[at].start - said[at].gap, 2)
            one = AlignedStep(step, status, said[at], window, off, start, probability)
        steps.append(one)
    return steps


# -- the hidden Markov model -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rest:
    """All explanations of the rest of a stretch. Logarithms of probabilities."""

    total: float
    best: float
    """Of the most probable explanation."""
    first: tuple[Told, ...]
    """What it says of the next utterance …"""
    then: _Rest | None
    """… and of those after it."""
    odds: Odds

    def told(self) -> Iterator[Told]:
        """The most probable explanation."""
        rest: _Rest | None = self
        while rest is not None:
            yield from rest.first
            rest = rest.then


_Option = tuple[float, tuple[Told, ...], "_Rest | None"]
"""Probability, what is told, and the rest."""


def _either(options: Iterable[_Option]) -> _Rest:
    """One of several explanations."""
    logs = [
        (log(weight) + (then.total if then else 0.0), log(weight) + (then.best if then else 0.0),
         told, then)
        for weight, told, then in options if weight > 0
    ]  # fmt: skip
    top = max(total for total, _, _, _ in logs)
    shares = [exp(total - top) for total, _, _, _ in logs]
    whole = fsum(shares)
    odds: Odds = {}
    for share, (_, _, told, then) in zip(shares, logs, strict=True):
        weight = share / whole
        for step, _, status in told:
            odds[step, status] = odds.get((step, status), 0.0) + weight
        for key, value in then.odds.items() if then else ():
            odds[key] = odds.get(key, 0.0) + weight * value
    _, best, told, then = max(logs, key=lambda option: option[1])
    return _Rest(top + log(whole), best, told, then, odds)


@dataclass(frozen=True, slots=True)
class _Stretch:
    said: Sequence[OperatorUtterance]
    ladder: Sequence[Sequence[Bounds]]
    base: float
    until: float
    tolerance: float
    ended: bool
    replies: bool

    def explained(self) -> _Rest:
        """From the end to the beginning."""
        steps = range(len(self.ladder) + 1)
        count = len(self.said)
        left = [_either([(1.0, self._lacking(count, step), None)]) for step in steps]
        kept = [_either([(self._ends(step), self._lacking(count, step), None)]) for step in steps]
        for used in range(count - 1, -1, -1):
            kept = [_either(self._options(used, step, kept, left)) for step in steps]
            left = [self._leaves(used, step, left) for step in steps]
        return kept[0]

    def origin(self, used: int) -> float:
        """Where the silence before that utterance began."""
        return max(self.base, self.said[used - 1].end) if used else self.base

    def status(self, step: int, used: int) -> tuple[PhraseCompliance, float]:
        """The verdict if this utterance is the step, and its seconds outside of the window."""
        off, _ = distance(self.said[used].gap, self.ladder[step])
        if abs(off) <= self.tolerance:
            return PhraseCompliance.SAID, 0.0
        return (PhraseCompliance.EARLY if off < 0 else PhraseCompliance.LATE), off

    def _wait(self, used: int) -> float:
        """The silence before that utterance, or before the end."""
        if used == len(self.said):
            return self.until - self.origin(used)
        return self.said[used].gap

    def _lacking(self, used: int, step: int) -> tuple[Told, ...]:
        """The steps that were due in the silence before that utterance, each at its window's end."""
        waited, found = self.tolerance, []
        for number in range(step, len(self.ladder)):
            waited += max(hi for _, hi in self.ladder[number])
            if waited > self._wait(used) + 1e-9:
                break
            found.append((number, used, PhraseCompliance.MISSING))
        return tuple(found)

    def _talk(self, gap: float, used: int) -> tuple[float, float]:
        """Probability that no step comes next, and its density at this pause."""
        if self.replies and used == 0:
            odds = REPLIES + OTHER
            return odds, REPLIES * _log_normal(gap) + OTHER * _exponential(gap, OTHER_S)
        odds = GOES_ON + OTHER
        return odds, GOES_ON * _exponential(gap, GOES_ON_S) + OTHER * _exponential(gap, OTHER_S)

    def _options(
        self, used: int, step: int, kept: Sequence[_Rest], left: Sequence[_Rest]
    ) -> Iterator[_Option]:
        gap = self.said[used].gap
        odds, density = self._talk(gap, used)
        yield density, (), kept[step]
        if step == len(self.ladder):
            return
        yield (1 - odds) * LEFT * _exponential(gap, OTHER_S), *self._left(used, step, left)
        skipped = 1 - odds
        missing: list[Told] = []
        for number in range(step, len(self.ladder)):
            status, _ = self.status(number, used)
            told = (*missing, (number, used, status))
            yield skipped * _phrase(gap, self.ladder[number]), told, kept[number + 1]
            skipped *= SKIPPED
            missing.append((number, used, PhraseCompliance.MISSING))

    def _left(self, used: int, step: int, left: Sequence[_Rest]) -> tuple[tuple[Told, ...], _Rest]:
        lacking = self._lacking(used, step)
        return lacking, left[step + len(lacking)]

    def _leaves(self, used: int, step: int, left: Sequence[_Rest]) -> _Rest:
        _, density = self._talk(self.said[used].gap, max(used, 1))
        return _either([(density, *self._left(used, step, left))])

    def _ends(self, step: int) -> float:
        """Probability that nothing comes after the last utterance."""
        used = len(self.said)
        waited = self._wait(used)
        odds, _ = self._talk(waited, used)
        if step == len(self.ladder):
            return 1 - odds
        rest, skipped = LEFT, 1.0
        for number in range(step, len(self.ladder)):
            rest += skipped * _phrase_after(waited, self.ladder[number])
            skipped *= SKIPPED
        rest = (1 - odds) * (rest + skipped) + OTHER * exp(-max(waited, 0.0) / OTHER_S)
        if self.ended and step and not self._lacking(used, step):
            rest *= HANGS_UP
        return rest


# -- pauses ----------------------------------------------------------------------------------------


def _phrase(gap: float, windows: Sequence[Bounds]) -> float:
    """Density of the pause before a step."""

    def of(lo: float, hi: float) -> float:
        begun, over = _reached(gap - lo), _reached(gap - hi)
        inside = (begun - over) / (hi - lo)
        late = over * _exponential(max(gap - hi, 0.0), LATE_S)
        early = (1 - begun) * _exponential(max(lo - gap, 0.0), EARLY_S)
        return IN_TIME * inside + LATE * late + EARLY * early

    return fsum(of(lo, hi) for lo, hi in windows) / len(windows)


def _phrase_after(waited: float, windows: Sequence[Bounds]) -> float:
    """Probability that a step comes after a longer silence than this."""

    def of(lo: float, hi: float) -> float:
        inside = min(max((hi - waited) / (hi - lo), 0.0), 1.0)
        late = exp(-max(waited - hi, 0.0) / LATE_S)
        early = -expm1(-max(lo - waited, 0.0) / EARLY_S)
        return IN_TIME * inside + LATE * late + EARLY * early

    return fsum(of(lo, hi) for lo, hi in windows) / len(windows)


def _reached(seconds: float) -> float:
    """Probability that a measured pause is beyond an edge."""
    return 0.5 * (1 + erf(seconds / (BLUR_S * sqrt(2))))


def _exponential(gap: float, mean: float) -> float:
    return exp(-gap / mean) / mean


def _log_normal(gap: float) -> float:
    if gap <= 0:
        return 0.0
    off = log(gap / REPLY_S) / REPLY_SPREAD
    return exp(-off * off / 2) / (gap * REPLY_SPREAD * sqrt(2 * pi))
