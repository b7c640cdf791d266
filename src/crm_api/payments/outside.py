"""What checks of deliveries keep of the outside: keys, certificates, tokens; in this process only."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from crm_api.kit import http

if TYPE_CHECKING:
    import httpx

_Kept = TypeVar("_Kept")
_MOST = 500


class Memory:
    """An `Outside` with a small memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    def client(self, service: str, default: str | None = None) -> httpx.AsyncClient:
        """A client of a service, for one conversation."""
        return http.client(service, default)

    async def remembered(
        self, key: str, fetch: Callable[[], Awaitable[_Kept]], *, seconds: float, not_before: float = 0.0
    ) -> _Kept:
        """See `provider.Outside`. What could not be fetched is not remembered."""
        oldest = max(seconds, not_before)
        if (found := self._young(key, oldest)) is not None:
            return cast(_Kept, found[0])
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if (found := self._young(key, oldest)) is not None:
                    return cast(_Kept, found[0])
                value = await fetch()
                self._kept[key] = (monotonic(), value)
                self._kept.move_to_end(key)
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
                return value
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    def forget(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _young(self, key: str, seconds: float) -> tuple[Any] | None:
        at, value = self._kept.get(key, (None, None))
        return (value,) if at is not None and monotonic() - at < seconds else None


OUTSIDE = Memory()
"""That of this process."""
