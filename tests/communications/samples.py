"""Letters for the tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from crm_api.communications.channels.channel import OutgoingEmail, message_id_of

DELIVERY = UUID("0199a1b2-0000-7000-8000-000000000001")


def letter(**changes: Any) -> OutgoingEmail:
    """A letter in Ukrainian to a made-up donor."""
    base = OutgoingEmail(
        delivery_id=DELIVERY,
        from_name="Фонд «Приклад»",
        from_email="hello@charity.example",
        to_email="olena.koval@donor.example",
        to_name="Олена Коваль",
        reply_to="reply@charity.example",
        subject="Дякуємо за вашу підтримку",
        text="Доброго дня!\n\nДякуємо.\n.\n..крапки\n",
        html="<p>Дякуємо.</p>",
        language="uk",
        message_id=message_id_of(DELIVERY, "charity.example"),
        date=datetime(2025, 5, 13, 9, 30, tzinfo=UTC),
        headers={
            "List-Unsubscribe": "<https://crm.charity.example/v1/unsubscribe/" + "t0ken" * 30 + ">",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )
    return replace(base, **changes)
