"""What columns of gifts can go to, and which headers mean what, in the languages of those who send such files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crm_api.transfers.imports.headers import joined, plain_header
from crm_api.transfers.imports.kinds import Target

TARGETS = (
    Target("id", "Our own id of the gift, as an export has it."),
    Target("external_id", "Id in another system, as system:id.", repeated=True),
    Target("receipt_number", "Number of a receipt that was issued elsewhere: an external id of the system receipt."),
    Target("payment_id", "Id of the payment at its provider, by which a gift that came from there is found."),
    Target("contact_id", "Our own id of the donor."),
    Target("contact_external_id", "The donor's id in another system, as system:id."),
    Target("email", "The donor's e-mail address."),
    Target("company", "The company that gives: an organization, found by its name where an import made it."),
    Target("given_name", "The donor's given name."),
    Target("family_name", "The donor's family name."),
    Target("full_name", "The donor's whole name, taken apart: given names first."),
    Target("organization_name", "The donor's name where it is an organization."),
    Target("amount", "In main units, such as 125.50."),
    Target("match_amount", "What an employer added, in main units; it is a part of this gift, beside amount."),
    Target("currency", "ISO 4217 code."),
    Target("gift_date", "Day on which the money arrived; a time may follow."),
    Target("received_at", "Moment at which the money arrived, as an export has it."),
    Target("status", "Such as succeeded, refunded, failed; succeeded where nothing is said."),
    Target("refunded_amount", "What was given back, in main units."),
    Target("refunded_on", "Day on which it was given back, or disputed."),
    Target("fee", "What the provider kept, in main units."),
    Target("method", "card, bank_transfer, cash, cheque, wallet, crypto, in_kind, stock or other."),
    Target("fund", "Code of the fund, or its id."),
    Target("campaign", "Code of the campaign, or its id."),
    Target("source_code", "Code of the appeal, or of its version for an audience."),
    Target("channel", "How the donor was reached."),
    Target("note", "Up to 500 characters."),
    Target("is_anonymous", "yes or no."),
    Target("soft_credit_email", "E-mail of somebody who is credited with the gift, without having given it."),
    Target("soft_credit_external_id", "Their id in another system, as system:id."),
    Target("soft_credit_given_name", "Their given name."),
    Target("soft_credit_family_name", "Their family name."),
)

# Folded words of a header; what is named like our own field needs no line here.
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "external_id": ("external id", "transaction id", "donation id", "gift id", "номер платежу", "id донату",
                    "номер транзакции", "id платежа"),
    "payment_id": ("stripe charge id", "paypal transaction id", "payment id", "charge id"),
    "receipt_number": ("receipt number", "receipt no", "receipt #", "номер квитанції", "номер квитанции"),
    "contact_external_id": ("donor id", "contact id", "contact external id", "supporter id", "constituent id"),
    "email": ("e-mail", "email", "email address", "donor email", "електронна пошта", "пошта", "емейл", "почта",
              "электронная почта", "ელფოსტა", "البريد الإلكتروني"),
    "given_name": ("first name", "firstname", "donor first name", "ім'я", "имя", "სახელი", "الاسم الأول"),
    "family_name": ("last name", "lastname", "surname", "donor last name", "прізвище", "фамилия", "გვარი",
                    "اسم العائلة"),
    "full_name": ("name", "full name", "donor name", "donor", "піб", "фио", "донор"),
    "organization_name": ("organization", "organisation", "organization name", "організація", "организация"),
    "company": ("company", "company name", "компанія", "компания"),
    "amount": ("gift amount", "donation amount", "total amount", "gross", "gross amount", "sum", "сума", "сумма",
               "თანხა", "المبلغ", "montant", "betrag", "importe", "kwota"),
    "currency": ("currency code", "amount currency", "валюта", "ვალუტა", "العملة", "devise", "währung",
                 "moneda", "waluta"),
    "gift_date": ("date", "gift date", "donation date", "payment date", "donated at", "дата", "дата платежу",
                  "дата донату", "дата платежа", "თარიღი", "التاريخ", "datum", "fecha"),
    "status": ("payment status", "статус", "სტატუსი", "الحالة"),
    "refunded_amount": ("amount refunded", "refunded", "refund amount", "повернено", "возвращено"),
    "refunded_on": ("refund date", "refunded at", "дата повернення", "дата возврата"),
    "fee": ("fees", "fee amount", "processing fee", "transaction fee", "комісія", "комиссия"),
    "method": ("payment method", "payment type", "donation type", "спосіб оплати", "способ оплаты"),
    "fund": ("fund code", "fund id", "designation", "фонд", "ფონდი"),
    "campaign": ("campaign code", "campaign id", "кампанія", "кампания", "კამპანია"),
    "source_code": ("source code", "appeal", "appeal code"),
    "note": ("notes", "comment", "comments", "message", "коментар", "комментарий", "примітка", "კომენტარი"),
    "is_anonymous": ("anonymous", "anonymous donation", "анонімно", "анонимно"),
}  # fmt: skip
GIFT_PRESETS: Mapping[str, Mapping[str, str | None]] = {
    "google_forms": {"timestamp": "gift_date", "позначка часу": "gift_date", "отметка времени": "gift_date"},
    "donorbox": {
        "id": "external_id:donorbox", "donation id": "external_id:donorbox", "receipt id": None,
        "donor id": "contact_external_id:donorbox", "donor email": "email", "donor's first name": "given_name",
        "donor's last name": "family_name", "donor first name": "given_name", "donor last name": "family_name",
        "name": None, "donating company": None, "stripe charge id": "payment_id", "paypal transaction id": "payment_id",
        "donated at": "gift_date", "amount": "amount", "amount refunded": "refunded_amount",
        "processing fee": "fee", "platform fee": None, "donation type": "method", "campaign": "campaign",
        "designation": "fund", "anonymous donation": "is_anonymous", "converted amount": None, "net amount": None,
        "comment": "note", "donor comment": "note",
    },
    "benevity": {
        "nonprofit name": None, "nonprofit id": None, "disbursement id": None, "disbursement date": None,
        "company name": "company", "company": "company", "project name": None, "project id": None,
        "transaction id": "external_id:benevity", "donation date": "gift_date", "currency": "currency",
        "total donation to be acknowledged": "amount", "match amount": "match_amount", "merchant fee": None,
        "cause support fee": None, "email": "soft_credit_email", "donor first name": "soft_credit_given_name",
        "donor last name": "soft_credit_family_name", "payment method": "method", "project external id": "campaign",
    },
}  # fmt: skip
"""Headers of known programs. A gift through Benevity is the company's, and its employee is credited softly."""
PARAMETERS = ("external_id", "contact_external_id", "soft_credit_external_id")
"""Targets that take the name of a system: `external_id:old-crm`."""
NAMES = frozenset(target.name for target in TARGETS)
_BY_HEADER = {plain_header(word): target for target, known in _HEADERS.items() for word in known}
_BY_HEADER |= {joined(word): target for word, target in list(_BY_HEADER.items())}
_REPEATED = frozenset(target.name for target in TARGETS if target.repeated)


def _meant(header: str, preset: str | None) -> str | None:
    plain = plain_header(header)
    if preset is not None and plain in GIFT_PRESETS.get(preset, {}):
        return GIFT_PRESETS[preset][plain]
    exact = header.strip()
    if exact in NAMES:
        return exact
    for form in (plain, joined(plain)):
        under = form.replace(" ", "_")
        found = under if under in NAMES else _BY_HEADER.get(form)
        if found is not None:
            return found
    return None


def suggest(headers: Sequence[str], preset: str | None) -> dict[str, str | None]:
    """A target, or None, for every header; no target twice unless it takes several."""
    found: dict[str, str | None] = {}
    for header in headers:
        target = _meant(header, preset)
        taken = target in found.values() and target not in _REPEATED
        found[header] = None if taken else target
    if "received_at" in found.values():  # an export has both, and the moment says more than the day
        found = {header: None if target == "gift_date" else target for header, target in found.items()}
    if {"given_name", "family_name"} <= set(found.values()):
        found = {header: None if target == "full_name" else target for header, target in found.items()}
    return found
