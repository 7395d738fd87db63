"""Answers those who watch us: /metrics for Prometheus, /healthz and /readyz for whoever restarts us, over HTTP on this machine.

Nobody is asked who he is, so nobody else may reach it: a loopback address, or a socket whose folder says who may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from monitor.errors import StateError

UNIX = "unix:"

#: check -> what is wrong; empty where all is well
Checks = Mapping[str, str]


@dataclass(slots=True)
class Probes:
    """What is answered; the monitor replaces it as it comes to work. Until then it is alive, and not ready."""

    #: what a start is at
    starting: str = "loading the models"
    #: content type and text
    metrics: Callable[[], Awaitable[tuple[str, bytes]]] | None = None
    healthy: Callable[[], Checks] = dict
    ready: Callable[[], Awaitable[Checks]] | None = None


def process_metrics() -> list[Collector]:
    """What Prometheus wants to know of every process: its memory, its time, its files."""
    return [ProcessCollector(registry=None), PlatformCollector(registry=None)]


@asynccontextmanager
async def answering(probes: Probes, address: str) -> AsyncIterator[str]:
    """Answer at "host:port" or "unix:/path" until the context is left; gives the address, with the port that 0 came to.

    Raises: StateError if it cannot be listened at.
    """

    async def metrics(_: web.Request) -> web.Response:
        if probes.metrics is None:
            return web.Response(status=503, text="starting\n")
        content_type, text = await probes.metrics()
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def healthz(_: web.Request) -> web.Response:
        return _said(probes.healthy())

    async def readyz(_: web.Request) -> web.Response:
        return _said(await probes.ready() if probes.ready else {"start": probes.starting})

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await _listen(runner, address)
        yield address if address.startswith(UNIX) else "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str) -> None:
    try:
        if address.startswith(UNIX):
            # asyncio takes away the socket that a killed process left
            await web.UnixSite(runner, address.removeprefix(UNIX)).start()
        else:
            host, _, port = address.rpartition(":")
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    except OSError as error:
        raise StateError(f"probes.listen: {address} cannot be listened at: {error.strerror}") from error


def _said(checks: Checks) -> web.Response:
    """A line a check, as in "ok feeds" and "failed slack: …"; 503 if one failed."""
    lines = [f"failed {name}: {problem}" if problem else f"ok {name}" for name, problem in checks.items()]
    status = 503 if any(checks.values()) else 200
    return web.Response(status=status, text="\n".join([*lines, ""]))
