"""What can be wrong with the template of a phrase: its brackets, its fields, what is left of it.

"[{client_name}, ]вас не слышно"
 └─ left out ──┘                    where client_name is unknown
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from vad_agent.core.script import fill

# As `fill` reads them.
_OPTIONAL = re.compile(r"\[[^\[\]]*\]")
_FIELD = re.compile(r"\{([^{}]*)\}")
# What a left-out part leaves behind if its comma or its space stood outside: «Здравствуйте, , …».
_STRAY = re.compile(r"^\W*[,;:.!?]|[,;:]\s*[,;:.!?]|\s[,;:.!?]|\s\s|[,;:]$")


def phrase_problems(template: str, fields: Sequence[str], unknown: Sequence[str]) -> Iterator[str]:
    """What is wrong with the template, a text each; a blank one is its type's error, not told here.

    `fields`: those that exist; `unknown`: those of them that may be unknown in a call.
    """
    used = list(dict.fromkeys(_FIELD.findall(template)))
    for name in used:
        if name not in fields:
            yield f"unknown field {{{name}}}; known: {', '.join(fields)}"
    paired = True
    for pattern, pair in ((_OPTIONAL, "[ and ]"), (_FIELD, "{ and }")):
        rest = pattern.sub("", template)
        if any(mark in rest for mark in pair.split(" and ")):
            paired = False
            yield f"{pair} do not pair up: each is closed before the next one is opened"
    if not paired:
        return
    always = _FIELD.findall(_OPTIONAL.sub("", template))
    bare = [name for name in unknown if name in always]
    for name in bare:
        yield f"{{{name}}} may be unknown: put it with its comma in [square brackets]"
    if not bare:
        yield from _remains(template, [name for name in unknown if name in used], fields)


def _remains(template: str, optional: Sequence[str], fields: Sequence[str]) -> Iterator[str]:
    """Something sayable must remain, whichever fields are unknown."""
    # Each field stands for itself: what is stray with all of them is what the author wanted.
    whole = {name: f"{{{name}}}" for name in fields}
    if _STRAY.search(fill(template, whole)):
        return
    for count in range(1, len(optional) + 1):
        for missing in combinations(optional, count):
            text = fill(template, whole | dict.fromkeys(missing, ""))
            names = " and ".join(missing)
            if not any(char.isalnum() for char in text):
                yield f"nothing is left to say where {names} is unknown"
            elif stray := _STRAY.search(text):
                near = text[max(0, stray.start() - 20) : stray.end() + 10].strip()
                advice = "take the comma or space into the [square brackets]"
                yield f"without {names} it reads «{near}»: {advice}"
                return
