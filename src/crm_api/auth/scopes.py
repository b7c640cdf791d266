"""What a key or a member may do: ``resource:action``. A missing scope is a 403 that names it."""

from __future__ import annotations

SCOPES: dict[str, str] = {
    "organization:read": "Read the organization",
    "organization:write": "Change the organization and a test organization's clock",
    "members:read": "Read members",
    "members:write": "Invite, change and disable members",
    "api_keys:read": "List API keys (never their secrets)",
    "api_keys:write": "Create, rotate and revoke API keys",
    "teams:read": "Read teams, and which contacts they look after",
    "teams:write": "Create, change and remove teams, say who belongs to them",
    "contacts:read": "Read contacts",
    "contacts:read_sensitive": "Read beneficiary-sensitive fields of contacts",
    "contacts:write": "Create and change contacts",
    "privacy:read": "Read privacy settings, plans of erasures, erasures and subject exports",
    "privacy:write": "Change privacy settings, erase people, export all that is kept of them",
    "tasks:read": "Read tasks",
    "tasks:write": "Create, change and complete tasks",
    "documents:read": "Read documents and make links to their content",
    "documents:write": "Attach, change and delete documents",
    "custom_fields:write": "Define, change, archive and erase custom fields",
    "donations:read": "Read gifts, recurring plans and funds",
    "donations:write": "Record gifts, refunds and funds",
    "ledger:read": "Read the books: trial balance, journals, accounts, closed periods, proofs, payouts",
    "ledger:write": "Map accounts, close and reopen periods, record payouts, start proofs",
    "payments:read": "Read payment connections and the inbox of provider events",
    "payments:write": "Connect payment providers and replay events",
    "intake:read": "Read sources of intake and what they sent",
    "intake:write": "Connect forms, telephony, lead ads and bots, and replay deliveries",
    "forms:submit": "Send filled-in forms (publishable keys may have it)",
    "campaigns:read": "Read campaigns and appeals",
    "campaigns:write": "Create and change campaigns and appeals",
    "pipelines:read": "Read pipelines and deals",
    "pipelines:write": "Create and change pipelines and deals, move deals",
    "scoring:read": "Read donor profiles and scores",
    "scoring:write": "Change scoring rules and start rebuilds",
    "reports:write": "Keep the figures of reports, define giving levels",
    "segments:read": "Read segments, who is in them and why",
    "segments:write": "Make and change segments",
    "messages:read": "Read letters and their delivery state",
    "audit:read": "Read who did what, when",
    "exports:read": "See exports and download their files",
    "exports:write": "Write records into files in bulk (with the read scope of what is exported)",
    "jobs:read": "Read background work",
    "jobs:write": "Retry background work",
    "donations:intend": "Start a donation from a public page (publishable keys)",
}
ALL_SCOPES = frozenset(SCOPES) - {"donations:intend"}
PUBLISHABLE_SCOPES = frozenset({"donations:intend", "forms:submit"})
WHOLE_SCOPES = frozenset(
    {
        "organization:write",
        "members:write",
        "api_keys:write",
        "teams:write",
        "jobs:read",
        "jobs:write",
        "ledger:read",
        "ledger:write",
        "payments:read",
        "payments:write",
        "intake:write",
    }
)
"""What nobody has who sees only a part of the contacts: it would lift the limit, or shows what is behind it."""

_READS = frozenset(scope for scope in ALL_SCOPES if scope.endswith(":read")) - {"privacy:read", "audit:read"}
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "owner": ALL_SCOPES,
    "admin": ALL_SCOPES,
    "fundraiser": (_READS - {"api_keys:read", "members:read", "payments:read"})
    | {
        "contacts:write",
        "donations:write",
        "campaigns:write",
        "pipelines:write",
        "reports:write",
        "exports:write",
        "tasks:write",
        "documents:write",
    },
    "volunteer_coordinator": frozenset(
        {
            "organization:read",
            "contacts:read",
            "contacts:write",
            "campaigns:read",
            "tasks:read",
            "tasks:write",
            "documents:read",
            "documents:write",
        }
    ),
    "finance": (_READS - {"api_keys:read", "members:read"})
    | {
        "donations:write",
        "reports:write",
        "ledger:write",
        "payments:write",
        "jobs:write",
        "exports:write",
        "tasks:write",
        "documents:write",
    },
    "viewer": frozenset(
        {"organization:read", "contacts:read", "donations:read", "campaigns:read", "pipelines:read", "scoring:read"}
    ),
}
