"""The kinds of sources. A new one is a module here and a line in this table."""

from __future__ import annotations

from crm_api.intake.kinds.calls import Binotel, Ringostat
from crm_api.intake.kinds.form import Form, GoogleForms
from crm_api.intake.kinds.kind import Kind
from crm_api.intake.kinds.messengers import Telegram, Viber
from crm_api.intake.kinds.meta_leads import MetaLeads

META = MetaLeads()
KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Form(), GoogleForms(), Binotel(), Ringostat(), META, Telegram(), Viber())
}
