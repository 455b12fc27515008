"""Changes that are a transaction of their own, as one statement: no BEGIN, no COMMIT, one answer to wait for."""

import re
from functools import lru_cache

MOST = 200
NOTHING_CHANGED = "22012"
"""`division_by_zero`, which no statement of ours can be guilty of otherwise."""

_PLACEHOLDER = re.compile(r"\$(\d+)")


@lru_cache(MOST)
def merged(*texts: str) -> str:
    """One statement of several, whose arguments are those of all; it fails if one of them changes no row.

    It looks odd: a number is divided by how many rows each has changed. It is right because the parts run when they are
    counted, in this order, so that locks are taken in it, and because an error is the one way to undo the parts before.
    It costs a line in the server's log whenever that happens. All parts see the same snapshot.
    """
    parts, checks, before = [], [], 0
    for number, text in enumerate(texts):
        counted = text if " RETURNING " in text else f"{text} RETURNING 1"
        parts.append(f"part{number} AS ({_shifted(counted, before)})")
        checks.append(f"1 / (SELECT count(*) FROM part{number})")  # noqa: S608 — nothing of it is given
        before += max(map(int, _PLACEHOLDER.findall(text)), default=0)
    return f"WITH {', '.join(parts)} SELECT {', '.join(checks)}"


def _shifted(text: str, by: int) -> str:
    return _PLACEHOLDER.sub(lambda found: f"${int(found[1]) + by}", text)
