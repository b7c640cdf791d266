"""The API as a client sees it, with every refusal in words."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

from crm_api.simulate.trouble import SimulationTrouble

_START = "Start everything with `make run` (or `crm-api dev`), then send the event again."


class Forbidden(SimulationTrouble):
    """The key lacks a scope."""


class NotFound(SimulationTrouble):
    """There is no such thing in the key's organization."""


class Api:
    """One organization's API."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url.rstrip("/")
        try:
            self._client = httpx.Client(
                base_url=self.base_url,
                headers={"Authorization": f"Bearer {api_key}", "User-Agent": "crm-api simulate"},
                timeout=10,
                trust_env=False,
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise SimulationTrouble(f"{base_url} is no address of an API; it looks like http://127.0.0.1:8000") from (
                error
            )

    def __enter__(self) -> Api:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET."""
        return self._json(self._send("GET", path, params=query))

    def first(self, path: str, **query: Any) -> dict[str, Any] | None:
        """The first item of a list, or nothing."""
        items: list[dict[str, Any]] = self.get(path, limit=1, **query)["data"]
        return items[0] if items else None

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON of a POST."""
        return self._json(self._send("POST", path, json=body))

    def deliver(self, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Post raw bytes without our key, as a provider does."""
        request = self._client.build_request("POST", path, content=body, headers=headers)
        request.headers.pop("authorization", None)
        try:
            return self._client.send(request)
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise SimulationTrouble(
                f"{self.base_url} is no address of an API; it looks like http://127.0.0.1:8000"
            ) from error
        except httpx.HTTPError as error:
            raise self._away(error) from error

    def _away(self, error: httpx.HTTPError) -> SimulationTrouble:
        if isinstance(error, httpx.TimeoutException):
            return SimulationTrouble(f"The API at {self.base_url} did not answer within ten seconds; look at its log.")
        return SimulationTrouble(f"Nothing answers at {self.base_url}. {_START}")

    def _json(self, answer: httpx.Response) -> Any:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.is_success and found is not None:
            return found
        raise refusal(self.base_url, answer)


def refusal(base_url: str, answer: httpx.Response) -> SimulationTrouble:
    """An answer that is none, in words."""
    try:
        problem = answer.json()
        detail = problem.get("detail", "") if isinstance(problem, dict) else ""
    except ValueError:
        detail = ""
    if not detail:
        return SimulationTrouble(
            f"What answers at {base_url} does not look like crm-api (status {answer.status_code}). Check --base-url."
        )
    if answer.status_code == 401:
        return SimulationTrouble(
            f"The API does not accept the key. {detail} Give another with --api-key or CRM_API_KEY; "
            "`crm-api keys create` makes one."
        )
    kind = {403: Forbidden, 404: NotFound}.get(answer.status_code, SimulationTrouble)
    return kind(f"The API refused ({answer.status_code}): {detail}")
