"""What a key or a member may do: ``resource:action``. A missing scope is a 403 that names it."""

from __future__ import annotations

SCOPES: dict[str, str] = {
    "organization:read": "Read the organization",
    "organization:write": "Change the organization and a test organization's clock",
    "members:read": "Read members",
    "members:write": "Invite, change and disable members",
    "api_keys:read": "List API keys (never their secrets)",
    "api_keys:write": "Create, rotate and revoke API keys",
    "contacts:read": "Read contacts",
    "contacts:read_sensitive": "Read beneficiary-sensitive fields of contacts",
    "contacts:write": "Create and change contacts",
    "donations:read": "Read gifts, recurring plans and funds",
    "donations:write": "Record gifts, refunds and funds",
    "payments:read": "Read payment connections and the inbox of provider events",
    "payments:write": "Connect payment providers and replay events",
    "campaigns:read": "Read campaigns and appeals",
    "campaigns:write": "Create and change campaigns and appeals",
    "pipelines:read": "Read pipelines and deals",
    "pipelines:write": "Create and change pipelines and deals, move deals",
    "scoring:read": "Read donor profiles and scores",
    "scoring:write": "Change scoring rules and start rebuilds",
    "messages:read": "Read letters and their delivery state",
    "jobs:read": "Read background work",
    "jobs:write": "Retry background work",
    "donations:intend": "Start a donation from a public page (publishable keys)",
}
ALL_SCOPES = frozenset(SCOPES) - {"donations:intend"}
PUBLISHABLE_SCOPES = frozenset({"donations:intend"})

_READS = frozenset(scope for scope in ALL_SCOPES if scope.endswith(":read"))
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "owner": ALL_SCOPES,
    "admin": ALL_SCOPES,
    "fundraiser": (_READS - {"api_keys:read", "members:read", "payments:read"})
    | {"contacts:write", "donations:write", "campaigns:write", "pipelines:write"},
    "volunteer_coordinator": frozenset({"organization:read", "contacts:read", "contacts:write", "campaigns:read"}),
    "finance": (_READS - {"api_keys:read", "members:read"}) | {"donations:write", "payments:write", "jobs:write"},
    "viewer": frozenset(
        {"organization:read", "contacts:read", "donations:read", "campaigns:read", "pipelines:read", "scoring:read"}
    ),
}
