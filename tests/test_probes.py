"""What those who watch us are answered, over real HTTP."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import aiohttp
import pytest

from monitor.errors import StateError
from monitor.probes import Probes, answering, process_metrics


async def asked(probes: Probes, path: str) -> tuple[int, str]:
    async with (
        answering(probes, "127.0.0.1:0") as address,
        aiohttp.ClientSession() as session,
        session.get(f"http://{address}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_monitor_that_starts_is_alive_and_not_ready() -> None:
    assert await asked(Probes(), "/healthz") == (200, "")
    assert await asked(Probes(), "/readyz") == (503, "failed start: loading the models\n")
    assert await asked(Probes(), "/metrics") == (503, "starting\n")


async def test_each_check_has_its_line() -> None:
    async def ready() -> dict[str, str]:
        return {"feeds": "", "slack": "every channel is blocked: the token was revoked"}

    probes = Probes(ready=ready, healthy=lambda: {"work": ""})
    assert await asked(probes, "/healthz") == (200, "ok work\n")
    assert await asked(probes, "/readyz") == (
        503, "ok feeds\nfailed slack: every channel is blocked: the token was revoked\n"
    )  # fmt: skip


async def test_metrics_come_with_their_type() -> None:
    async def metrics() -> tuple[str, bytes]:
        return "application/openmetrics-text; version=1.0.0; charset=utf-8", b"feeds 3\n# EOF\n"

    assert await asked(Probes(metrics=metrics), "/metrics") == (200, "feeds 3\n# EOF\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/state", "/healthz/../etc"])
async def test_there_is_nothing_else(path: str) -> None:
    status, _ = await asked(Probes(), path)
    assert status == 404


async def test_socket_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    socket = tmp_path / "probes"
    address = f"unix:{socket}"
    async with answering(Probes(), address):
        os.link(socket, tmp_path / "left")  # what SIGKILL leaves
    (tmp_path / "left").rename(socket)
    async with (
        answering(Probes(), address),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://monitor/healthz") as answer,
    ):
        assert answer.status == 200
        assert stat.S_ISSOCK(socket.stat().st_mode)


async def test_address_that_is_taken_is_named() -> None:
    async with answering(Probes(), "127.0.0.1:0") as address:
        with pytest.raises(StateError, match=rf"probes.listen: {address} cannot be listened at: "):
            async with answering(Probes(), address):
                pass


def test_process_says_what_it_takes() -> None:
    names = {metric.name for collector in process_metrics() for metric in collector.collect()}
    assert {"process_resident_memory_bytes", "process_open_fds"} <= names
