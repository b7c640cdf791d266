"""Processor time and memory of process trees."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil


def family(pid: int) -> list[psutil.Process]:
    """A process and everything below it."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def seconds(pid: int) -> float:
    """Processor seconds used so far by a tree; what ended children used is booked on their parents."""
    used = 0.0
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
            used += times.user + times.system + ended
    return used


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes of one process: resident, proportional share, its own alone."""

    role: str
    rss: float
    pss: float
    uss: float


def memory(pid: int) -> list[Memory]:
    """Memory of each process of a tree that serves; the little helpers that start others are named so."""
    found: list[Memory] = []
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            full = process.memory_full_info()
            command = " ".join(process.cmdline())
            role = "supervisor" if process.pid == pid else "helper" if "resource_tracker" in command else "process"
            pss = getattr(full, "pss", full.uss)
            found.append(Memory(role, full.rss / 2**20, pss / 2**20, full.uss / 2**20))
    return found
