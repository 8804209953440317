"""The storm: requests come while the only node is killed again and again; and a kill at one named point."""

from __future__ import annotations

import signal
import time

from tests.callbacks.faults.trial import Trial, TrialReport


def storm(trial: Trial, *, requests: int, kills: int, limit_s: float = 180.0) -> TrialReport:
    """As many requests, at random times, while the node is killed so often; then until idle."""
    dice = trial.dice
    left = requests
    node = trial.node()
    assert node.ready(), node.said
    while left or trial.kills < kills:
        part = min(left, dice.randint(1, max(1, 2 * requests // kills)))
        if trial.kills >= kills - 1:
            part = left
        trial.ask(part, due_in_s=dice.choice((0.0, 0.0, 0.5, 2.0)))
        left -= part
        if trial.kills < kills:
            time.sleep(dice.uniform(0.0, 1.6))
            node.kill()
            trial.kills += 1
            node = trial.node()
            if dice.random() < 0.2 and trial.kills < kills:  # killed while it starts
                time.sleep(dice.uniform(0.1, 0.9))
                node.kill()
                trial.kills += 1
                node = trial.node()
            assert node.ready(), node.said
    trial.until_idle(limit_s)
    assert node.end() == 0
    return trial.report()


def killed_at(trial: Trial, point: str) -> TrialReport:
    """Twice at the point, then until idle."""
    trial.ask(4)
    for number in (1, 2):
        node = trial.node(kill_at=(point, number))
        if node.ready():
            trial.ask(1)
        assert node.gone() == -signal.SIGKILL, f"{point} was never passed"
        trial.kills += 1
    node = trial.node()
    assert node.ready(), node.said
    trial.until_idle()
    node.end()
    return trial.report()
