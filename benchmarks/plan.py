"""What is measured, for how long, and what is hoped for."""

from __future__ import annotations

from dataclasses import dataclass

APPS = ("crm", "raw", "orm")
CASES = ("get_contact", "list_contacts", "create_contact", "record_donation", "donor_profile", "webhook_ingest")
TITLES = {
    "get_contact": "get contact",
    "list_contacts": "list 50 contacts by city",
    "create_contact": "create contact",
    "record_donation": "record donation",
    "donor_profile": "donor profile",
    "webhook_ingest": "webhook ingest",
}
AIMS = {
    "get_contact": 0.6,
    "list_contacts": 0.5,
    "create_contact": 0.35,
    "record_donation": 0.4,
    "webhook_ingest": 0.5,
}
"""Requests per second as a part of `raw`'s, at least."""
PICK_UP_MS = 20.0
MEMORY_MB = 130.0
COLD_START_S = 2.0
CITIES = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and durations of one run."""

    contacts: int
    gifts: int
    rounds: int
    seconds: float
    """Of one measurement: one case of one application with one number of connections."""
    warm_up_seconds: float
    connections: tuple[int, ...]
    probes: int
    """How many single events are sent to an idle worker."""
    backlog: int
    """How many donations a worker finds when jobs per second are measured."""
    payments: int
    """How many stored webhooks it finds when whole payments per second are."""
    cold_starts: int
    seed: int = 20_261_122

    @property
    def measurements(self) -> int:
        """How many timed measurements of requests, pgbench's included, a run takes."""
        return len(CASES) * (len(APPS) + 1) * len(self.connections) * self.rounds


FULL = Plan(
    contacts=100_000,
    gifts=1_000_000,
    rounds=5,
    seconds=1.0,
    warm_up_seconds=0.5,
    connections=(1, 16),
    probes=100,
    backlog=1_500,
    payments=500,
    cold_starts=3,
)
QUICK = Plan(
    contacts=10_000,
    gifts=50_000,
    rounds=2,
    seconds=0.3,
    warm_up_seconds=0.2,
    connections=(1, 16),
    probes=15,
    backlog=150,
    payments=60,
    cold_starts=1,
)
