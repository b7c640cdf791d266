"""Prometheus metrics. Labels are route templates and names of ours, never ids."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("crm_http_requests", "Requests by route and status", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "crm_http_request_seconds",
    "Time to answer",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
JOBS = Counter("crm_jobs", "Jobs run by subscriber and outcome", ["subscriber", "outcome"])
JOB_SECONDS = Histogram(
    "crm_job_seconds",
    "Time to run one job",
    ["subscriber"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
SWEEPS = Counter("crm_sweeps", "Sweeps for due work by outcome", ["outcome"])
DOORBELL = Counter("crm_doorbell", "Doorbell rings by outcome", ["outcome"])
WORKER_UP = Gauge("crm_worker_last_sweep_seconds", "Unix time of the last finished sweep")
