"""What can keep a simulation from its end."""

from __future__ import annotations


class SimulationTrouble(Exception):
    """Why the simulation stopped, in words, and what to do."""
