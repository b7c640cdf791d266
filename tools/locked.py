"""Pick entries out of a lock file: `python tools/locked.py LOCK NAME…` prints NAME, what it requires, and all hashes.

This lets a single tool be installed from the lock, hash-checked, before anything else is there. It runs on the bare
interpreter, so it imports nothing but the standard library.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def entries(lock: Path) -> dict[str, str]:
    """The lock's entries by the name of their package."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.split(r"[^A-Za-z0-9._-]", block, maxsplit=1)[0]: block for block in blocks if "==" in block}


def closure(lock: Path, names: list[str]) -> str:
    """The entries of `names` and of everything the lock's `# via` comments say they require."""
    found = entries(lock)
    required_by = {
        name: set(re.findall(r"^    #(?: via)? +(\S+)$", block, re.MULTILINE)) for name, block in found.items()
    }
    wanted: set[str] = set()
    more = set(names)
    while more:
        wanted |= more
        more = {name for name, parents in required_by.items() if parents & wanted} - wanted
    if missing := wanted - found.keys():
        sys.exit(f"{lock} has no entry for {', '.join(sorted(missing))}")
    return "".join(found[name] for name in sorted(wanted))


if __name__ == "__main__":
    sys.stdout.write(closure(Path(sys.argv[1]), sys.argv[2:]))
