"""Money, donors, plans and letters in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_api.kit.money import Money, exponent


def money(value: Mapping[str, Any]) -> str:
    """``1,250.00 UAH``."""
    amount = Money(value["amount"], value["currency"])
    return f"{amount.major():,.{exponent(amount.currency)}f} {amount.currency}"


def changed(before: str | None, after: str) -> str:
    """A state, with the one before when it was another."""
    words = [after] if before in (None, after) else [str(before), after]
    return " → ".join(word.replace("_", " ") for word in words)


def given(profile: Mapping[str, Any]) -> str:
    """How much in how many gifts; a gift whose currency has no rate yet is in no sum."""
    count, unrated = profile["gift_count"], profile["gifts_without_rate"]
    gifts = f"{count} gift" if count == 1 else f"{count} gifts"
    if unrated == count and count:
        return f"{gifts}, no exchange rate yet"
    return f"{money(profile['total_given'])} in {gifts}" + (f", {unrated} without a rate yet" if unrated else "")


def contact(row: Mapping[str, Any]) -> str:
    """Name, language, city, e-mail."""
    places = [", ".join(part for part in (item["city"], item["country"]) if part) for item in row["addresses"][:1]]
    parts = [row["display_name"], row["language"], *places, *(item["address"] for item in row["emails"][:1])]
    return " · ".join(str(part) for part in dict.fromkeys(parts) if part)


def gift(row: Mapping[str, Any], before: str | None) -> str:
    """Amount, state and the state before, and what was given back."""
    parts = [money(row["amount"])]
    base = row["base_amount"]
    if base and base["currency"] != row["amount"]["currency"]:
        parts[0] += f" (≈ {money(base)})"
    parts.append(changed(before, row["status"]))
    if row["refunded_amount"]["amount"]:
        parts.append(f"{money(row['refunded_amount'])} given back")
    if row["failure_reason"]:
        parts.append(row["failure_reason"].replace("_", " "))
    return ", ".join(parts)


def rule(profile: Mapping[str, Any]) -> str:
    """The rule that decided the donor's status, with what it looked at."""
    decided = next((reason for reason in profile["reasons"] if reason["verdict"]), None)
    if decided is None:
        return ""
    value = decided["value"]
    said = {
        "prospect": "no counted gift",
        "major": f"{money(value)} in the last 365 days" if isinstance(value, dict) else "",
        "recurring": "a live recurring plan with a counted gift",
        "new": "exactly one counted gift",
        "regular": f"{value} counted gifts",
    }.get(decided["rule"])
    if said is None and decided["field"] == "days_since_last_gift":
        said = f"last gift {value} days ago"
    return said or f"{decided['field']} is {value}"


def rfm(profile: Mapping[str, Any]) -> str:
    """The RFM cell with its name."""
    scored = profile["rfm"]
    if scored is None:
        return "no RFM score without a counted gift"
    doubt = ", of few donors yet" if "too_few_for_quintiles" in scored["flags"] else ""
    return f"RFM {scored['code']} {scored['name']}{doubt}"


def plan(row: Mapping[str, Any]) -> str:
    """Amount, rhythm, state and next date."""
    parts = [money(row["amount"]) if row["amount"] else "amount not told yet"]
    unit, interval = row["frequency_unit"], row["frequency_interval"]
    if unit:
        parts[0] += f" every {unit}" if interval in (None, 1) else f" every {interval} {unit}s"
    parts.append(row["status"].replace("_", " "))
    if row["next_date"]:
        parts.append(f"next on {row['next_date']}")
    if row["ended_at"]:
        parts.append(f"ended {row['ended_at'][:10]}")
    return ", ".join(parts)


def letter(row: Mapping[str, Any]) -> str:
    """Kind, language, state and subject."""
    said = f"{row['kind'].replace('_', ' ')} in {row['language']}, {row['state']}"
    if row["subject"]:
        said += f": {row['subject']}"
    return said + (f" ({row['reason']})" if row["reason"] else "")
