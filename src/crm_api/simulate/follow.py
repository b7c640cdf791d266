"""Sending the event and following what it sets off, through the API, until nothing is under way any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from crm_api.kit import clock
from crm_api.simulate import words
from crm_api.simulate.api import Api, Forbidden, refusal
from crm_api.simulate.before import Before, letters_of, look_before, profile_of
from crm_api.simulate.delivery import Delivery
from crm_api.simulate.target import Connection
from crm_api.simulate.trouble import SimulationTrouble
from crm_api.simulate.view import Step, View

PATIENCE = 10.0
"""Seconds until we stop waiting."""
_SETTLED = {"done", "dead", "waiting"}
_WRITTEN = {"sent", "suppressed", "canceled", "failed", "bounced", "unknown"}


class Chain:
    """One event on its way."""

    def __init__(self, api: Api, view: View, provider: str, connection: Connection, delivery: Delivery) -> None:
        self.api = api
        self.view = view
        self.provider = provider
        self.connection = connection
        self.delivery = delivery
        self.mail_dir: Path | None = None
        self.sent_at = clock.utc_now()
        self._started = perf_counter()
        self._jobs_known = True
        self.event: dict[str, Any] = {}
        self.gift: dict[str, Any] | None = None
        self.contact: dict[str, Any] | None = None
        self.letters: list[dict[str, Any]] = []
        self.letter_ms: float | None = None
        self.handled_ms: float | None = None
        self._again = False

    # Time: as the server stamped it where that can be, since we look only every 20 ms.

    def _observed(self) -> float:
        return (perf_counter() - self._started) * 1000

    def _stamp(self, instant: str | None) -> float | None:
        """Milliseconds since the webhook; nothing where all this happened at an earlier delivery."""
        observed = self._observed()
        if self._again:
            return None
        if instant is None:
            return observed
        server = (datetime.fromisoformat(instant) - self.sent_at).total_seconds() * 1000
        return server if 0 < server < observed else observed

    def _polls(self) -> Iterator[None]:
        """Often at first, gently later, for as long as we are patient."""
        while self._observed() < PATIENCE * 1000:
            yield
            sleep(0.02 if self._observed() < 1500 else 0.1)

    # The links of the chain

    def run(self) -> None:
        """Send and follow."""
        before = look_before(self.api, self.connection.id, self.delivery)
        self._send(before)
        self._inbox()
        if self.event["state"] != "handled":
            return
        self._people(before)
        if self.gift is None:
            self._finish_jobs(self.view.begin("Background"))
            return
        self._follow_up(before)

    def _send(self, before: Before) -> None:
        self._again = before.delivered
        step = self.view.begin("Webhook")
        path = f"/v1/payments/webhooks/{self.provider}/{self.connection.id}{self.delivery.tail}"
        self.sent_at, self._started = clock.utc_now(), perf_counter()
        answer = self.api.deliver(path, self.delivery.body, self.delivery.headers)
        took = self._observed()
        if not answer.is_success:
            self.view.finish(step, f"refused with {answer.status_code}", state="bad", milliseconds=took)
            raise refusal(self.api.base_url, answer)
        said = [f"{answer.status_code} accepted, {len(self.delivery.body):,} bytes, signed"]
        if before.delivered:
            said.append("delivered before: nothing is done twice (another --seed is another payment)")
        self.view.finish(step, *said, milliseconds=took)

    def _inbox(self) -> None:
        step = self.view.begin("Inbox")
        for _ in self._polls():
            event = self.api.first(
                "/v1/payments/inbox", provider_event_id=self.delivery.event_id, connection_id=self.connection.id
            )
            if event is not None and event["state"] != "received":
                break
        else:
            self.view.finish(step, "stored, and nobody has looked at it", state="bad")
            raise SimulationTrouble(
                f"The event is stored, but no worker has taken it for {PATIENCE:.0f} seconds. Is one running? "
                "`crm-api worker` runs one, `make run` everything."
            )
        self.event = event
        state, reason = event["state"], event["reason"]
        self.handled_ms = self._handled_at()
        if state == "handled":
            self.view.finish(step, f"{self.delivery.event} handled", milliseconds=self.handled_ms)
        elif state in {"waiting", "unmatched"}:
            missing = self.delivery.refs[0] if self.delivery.refs else "it"
            self.view.finish(
                step,
                f"{state}: the payment it names is not known yet",
                f"It is looked at again as soon as {missing} arrives; nothing is lost.",
                state="note",
                milliseconds=self.handled_ms,
            )
        elif state == "ignored":
            self.view.finish(step, f"ignored: {reason}", state="note", milliseconds=self.handled_ms)
        else:
            self.view.finish(step, f"{state}: {reason}", state="bad", milliseconds=self.handled_ms)
            raise SimulationTrouble("The event could not be handled; GET /v1/jobs?state=dead says why.")

    def _handled_at(self) -> float | None:
        """When the transaction that handled the event recorded what follows from it."""
        follow_ups = [job for job in self._jobs() if job["payload"].get("event_id") != self.event["id"]]
        return self._stamp(min((job["created_at"] for job in follow_ups), default=None))

    def _people(self, before: Before) -> None:
        if donation_id := self.event["donation_id"]:
            self.gift = self.api.get(f"/v1/donations/{donation_id}")
        plan = self._plan()
        contact_id = (self.gift or plan or {}).get("contact_id")
        step = self.view.begin("Contact")
        if contact_id is None:
            unknown = "not known yet: the event names nobody" if self.gift else "comes with the first payment"
            self.view.finish(step, unknown, state="note", milliseconds=self.handled_ms)
        else:
            row: dict[str, Any] = self.api.get(f"/v1/contacts/{contact_id}")
            self.contact = row
            fresh = before.contact_id != contact_id and row["created_at"] >= self.event["received_at"]
            said = f"{'new' if fresh else 'known'}: {words.contact(row)}"
            self.view.finish(step, said, milliseconds=self.handled_ms)
        if plan is not None:
            self.view.finish(self.view.begin("Plan"), words.plan(plan), milliseconds=self.handled_ms)
        if self.gift is not None:
            self._show_gift(self.gift, before.gift)

    def _plan(self) -> dict[str, Any] | None:
        if self.delivery.plan_ref is not None:
            return self.api.first("/v1/recurring-plans", provider_plan_id=self.delivery.plan_ref)
        if self.gift is not None and self.gift["recurring_plan_id"]:
            plan: dict[str, Any] = self.api.get(f"/v1/recurring-plans/{self.gift['recurring_plan_id']}")
            return plan
        return None

    def _show_gift(self, gift: Mapping[str, Any], before: Mapping[str, Any] | None) -> None:
        said = words.gift(gift, before["status"] if before else None)
        purpose = []
        for name, path in (("fund", "/v1/funds"), ("campaign", "/v1/campaigns")):
            if (purpose_id := gift[f"{name}_id"]) is not None:
                purpose.append(f"{name} {self.api.get(f'{path}/{purpose_id}')['name']}")
        said += f" · {', '.join(purpose) if purpose else 'no fund or campaign named'}"
        self.view.finish(self.view.begin("Gift"), said, milliseconds=self.handled_ms)

    # What follows in the background

    def _jobs(self) -> list[dict[str, Any]]:
        """The rows of work that this event set off, as far as they are known."""
        if not self._jobs_known or not self.event:
            return []
        try:
            newest: list[dict[str, Any]] = self.api.get("/v1/jobs", limit=100)["data"]
        except Forbidden:
            self._jobs_known = False
            return []
        start = next((job for job in newest if job["payload"].get("event_id") == self.event["id"]), None)
        if start is None:
            return []
        ids = {self.event["id"], self.event["donation_id"], *(letter["id"] for letter in self.letters)}
        ids |= {self.contact["id"]} if self.contact else set()
        return [
            job
            for job in reversed(newest)
            if job["created_at"] >= start["created_at"] and ids & {str(value) for value in job["payload"].values()}
        ]

    def _follow_up(self, before: Before) -> None:
        assert self.gift is not None
        donor, letter, work = (self.view.begin(title) for title in ("Donor", "Letter", "Background"))
        open_steps = {"donor", "letter"}
        old = frozenset() if before.delivered else before.letters
        jobs: list[dict[str, Any]] = []
        for _ in self._polls():
            jobs = self._jobs()
            self.letters = [one for one in letters_of(self.api, self.gift["id"]) if one["id"] not in old]
            scoring = [job for job in jobs if job["subscriber"].startswith("scoring.")]
            settled = all(job["state"] in _SETTLED for job in jobs)
            if "donor" in open_steps and (settled or (scoring and all(job["state"] in _SETTLED for job in scoring))):
                self._show_donor(donor, before)
                open_steps.discard("donor")
            written = bool(self.letters) and all(one["state"] in _WRITTEN for one in self.letters)
            if open_steps == {"letter"} and (written or (settled and not self.letters and self._jobs_known)):
                self._show_letters(letter)
                open_steps.discard("letter")
            if settled and not open_steps and (jobs or before.delivered or not self._jobs_known):
                break
            if not self._jobs_known and self._observed() > 3000:
                self._show_letters(letter)
                break
        else:
            self._out_of_patience(jobs, work)
        self._finish_jobs(work)

    def _show_donor(self, step: Step, before: Before) -> None:
        milliseconds = self._stamp(None)  # the time of a finished job is when its last try began
        profile = profile_of(self.api, self.contact["id"]) if self.contact else None
        if profile is None:
            said = "nobody to score" if self.contact is None else "the key may not read it (scoring:read)"
            self.view.finish(step, said, state="note", milliseconds=milliseconds)
            return
        was = (before.profile or {}).get("donor_status", "prospect")
        self.view.finish(
            step,
            f"{words.changed(was, profile['donor_status'])} (rule: {words.rule(profile)})",
            f"{words.rfm(profile)} · {words.given(profile)}",
            milliseconds=milliseconds,
        )

    def _show_letters(self, step: Step) -> None:
        if not self.letters:
            said = "this change calls for none" if self._jobs_known else "none seen"
            self.view.finish(step, said, state="note")
            return
        lines = [words.letter(letter) for letter in self.letters]
        sent = [letter["sent_at"] for letter in self.letters if letter["sent_at"]]
        self.letter_ms = self._stamp(max(sent)) if sent else None
        good = all(letter["state"] in {"sent", "suppressed", "canceled"} for letter in self.letters)
        self.view.finish(step, *lines, state="done" if good else "bad", milliseconds=self.letter_ms)

    def files(self) -> list[str]:
        """Where the letters lie, when the API writes them as files on this machine."""
        files = [self.mail_dir / f"{letter['id']}.eml" for letter in self.letters] if self.mail_dir else []
        return [_short(file) for file in files if file.exists()]

    def _finish_jobs(self, step: Step) -> None:
        jobs = self._jobs()
        if not self._jobs_known:
            self.view.finish(step, "the key may not read it (jobs:read)", state="note")
            return
        dead = [job for job in jobs if job["state"] == "dead"]
        if dead:
            said = [f"{job['subscriber']} is dead: {job['last_error']}" for job in dead]
            self.view.finish(step, *said, state="bad")
            raise SimulationTrouble(f"{len(dead)} of {len(jobs)} jobs failed for good; POST /v1/jobs/{{id}}/retry.")
        names = ", ".join(dict.fromkeys(job["subscriber"] for job in jobs))
        last = self._stamp(None) if jobs else None
        count = f"{len(jobs)} jobs done" if len(jobs) != 1 else "1 job done"
        self.view.finish(step, *([count, names] if jobs else ["nothing new to do"]), milliseconds=last)

    def _out_of_patience(self, jobs: list[dict[str, Any]], step: Step) -> None:
        late = [f"{job['subscriber']} is {job['state']}" for job in jobs if job["state"] not in _SETTLED]
        late += [f"{one['kind']} letter: {one['reason']}" for one in self.letters if one["reason"]]
        self.view.finish(step, *(late or ["nothing to be seen"]), state="bad")
        raise SimulationTrouble(
            f"Not finished after {PATIENCE:.0f} seconds. It goes on in the background: GET /v1/jobs."
        )


def _short(file: Path) -> str:
    """The path as seen from here, where it lies below."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
