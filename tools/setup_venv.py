"""Build `.venv` from requirements-dev.lock, every hash checked: `python tools/setup_venv.py`. `make setup` calls it.

It runs on the bare interpreter and takes nothing from outside the lock: uv, which needs seconds where pip needs a
minute, is itself installed from the lock by the pip that venv brings. Where uv cannot reach a package index (it does
not read pip's configuration), pip installs the same lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from locked import closure

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
LOCK = ROOT / "requirements-dev.lock"
INPUTS = [*ROOT.glob("*.lock"), ROOT / "pyproject.toml", *Path(__file__).parent.glob("*.py")]


def say(text: str) -> None:
    sys.stderr.write(f"setup: {text}\n")


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)  # noqa: S603


def works() -> bool:
    """Whether .venv is there, whole, made for this place, and of a Python that is new enough."""
    probe = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    with contextlib.suppress(OSError):
        here = f"{VENV}\n" in (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
        return here and subprocess.run([PYTHON, "-c", probe], check=False, capture_output=True).returncode == 0  # noqa: S603
    return False


def install() -> None:
    """Make .venv hold the lock's packages, no others, and this project in place (editable)."""
    with tempfile.TemporaryDirectory() as scratch:
        bootstrap = Path(scratch, "uv.lock")
        bootstrap.write_text(closure(LOCK, ["uv"]), encoding="utf-8")
        pip = (PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--require-hashes")
        run(*pip, "--only-binary", ":all:", "-r", bootstrap)
        uv = (PYTHON, "-m", "uv", "pip")
        try:
            # Compiled once here, not at each start of a process: that is half of a cold start.
            flags = ("--quiet", "--compile-bytecode", "--require-hashes", "--no-build")
            run(*uv, "sync", *flags, "--python", PYTHON, LOCK)
        except subprocess.CalledProcessError:
            say("uv could not install the lock; trying pip, which takes about a minute")
            run(*pip, "--only-binary", ":all:", "-r", LOCK)
        run(*uv, "install", "--quiet", "--python", PYTHON, "--offline", "--no-deps", "--no-build-isolation", "-e", ".")
    # The project too: where the environment says that Python writes no bytecode, each start would compile all of it.
    run(PYTHON, "-m", "compileall", "-q", "-j", "0", "src")


def main() -> None:
    with Path(__file__).open() as itself:
        fcntl.flock(itself, fcntl.LOCK_EX)  # two makes at once: the second finds the first one's work
        if STAMP.exists() and STAMP.stat().st_mtime >= max(path.stat().st_mtime for path in INPUTS):
            return
        started = time.monotonic()
        for name in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH"):
            os.environ.pop(name, None)
        if not works():
            say(f"making .venv with Python {sys.version.split()[0]}")
            run(sys.executable, "-m", "venv", "--clear", VENV)
        say("installing the packages of requirements-dev.lock")
        install()
        STAMP.write_text(f"{ROOT}\n", encoding="utf-8")
        say(f"done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"setup: this failed: {' '.join(error.cmd)}")
