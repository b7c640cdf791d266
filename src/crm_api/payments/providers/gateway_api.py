"""Talking to a gateway's API: which answers are worth a retry, and which are a no."""

from __future__ import annotations

from typing import Any

import httpx

from crm_api.payments.abilities import OutcomeUnknown
from crm_api.payments.providers.gateway import literals

_LATER = (408, 425, 429)


def content(response: httpx.Response) -> Any:
    """The JSON of an answer of any status, its numbers as printed; nothing where it is no JSON. Raises
    `httpx.HTTPStatusError` for throttling and for the other side's own trouble, which are worth a retry."""
    if response.status_code in _LATER or response.status_code >= 500:
        raise httpx.HTTPStatusError(f"it answered {response.status_code}", request=response.request, response=response)
    try:
        return literals(response.content)
    except ValueError:
        return None


def answered(response: httpx.Response) -> Any:
    """The JSON of an answer that should be one. Raises `httpx.HTTPError`, also for a success without JSON."""
    found = content(response)
    if found is None and response.is_success:
        raise httpx.DecodingError("the answer is not JSON", request=response.request)
    return found


async def once(client: httpx.AsyncClient, path: str, **options: Any) -> httpx.Response:
    """POST what must not be sent twice. Raises `httpx.HTTPError` where it certainly did not arrive or was not looked
    at, `OutcomeUnknown` where nobody can know."""
    try:
        response = await client.post(path, **options)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol):
        raise
    except httpx.HTTPError:
        raise OutcomeUnknown from None
    if response.status_code >= 500 or response.status_code == 408:
        raise OutcomeUnknown
    return response
