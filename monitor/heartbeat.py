"""Tell a dead-man's switch that all is well: it raises the alarm when we fall silent. A call that fails harms nothing."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import aiohttp


class Heartbeat:
    """Calls one address, which nobody need know: who does can keep the alarm silent."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout), trust_env=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def beat(self) -> str:
        """Call once; why it failed, without the address, or nothing."""
        try:
            async with self._session.get(self._url) as answer:
                return "" if answer.status < 400 else f"http {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return type(error).__name__
