"""Nothing stands between a client and the process that serves: its workers accept on the deployment's own sockets, and connections move on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deployer.client import DeployClient
from deployer_targets.local.client import LocalCloud
from deployer_targets.local.handover import SocketHandover
from tests.e2e.local.conftest import QUESTION, Kept, ask, containers, eventually, scoring_processes, stopped, stream
from tests.environments import oldest_python
from tests.models import saved_model

JSON = {"content-type": "application/json"}
IMAGES = Path(__file__).parents[3] / "images"


def supervisor(cloud: LocalCloud) -> int:
    found = cloud.describe("numbers")
    assert found is not None
    return found.pid


def test_requests_are_answered_while_the_supervisor_stands_still(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    with Kept(made.url) as before:
        assert before.ask() == (200, [2.0, 5.0])
        with stopped(supervisor(cloud)):
            assert before.ask() == (200, [2.0, 5.0])
            with Kept(made.url) as new:
                assert new.ask() == (200, [2.0, 5.0])


def test_a_connection_moves_to_the_next_generation_and_back(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    with Kept(made.url) as asked, Kept(made.url) as silent:
        assert asked.ask() == (200, [2.0, 5.0])
        client.update_deployment("numbers", str(saved_model("tripler")))
        assert len(containers(cloud)) == 1  # the old one is gone, and nothing of it was cut
        assert asked.ask() == (200, [3.0, 7.5])
        client.update_deployment("numbers", str(saved_model("doubler")))
        with stopped(supervisor(cloud)):
            assert asked.ask() == silent.ask() == (200, [2.0, 5.0])


def test_a_connection_in_the_middle_of_a_request_moves_after_its_answer(client: DeployClient) -> None:
    made = client.create_deployment("numbers", str(saved_model("slow")))
    with Kept(made.url) as asked, Kept(made.url) as halfway:
        asked.send(b'{"dataframe_split": {"columns": ["x"], "data": [[2.0]]}}')
        halfway._socket.sendall(b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        time.sleep(0.5)
        updating = threading.Thread(
            target=client.update_deployment, args=("numbers", str(saved_model("tripler"))), kwargs={"allow_schema_change": True}
        )
        updating.start()
        assert asked.answer() == (200, [4.0])
        eventually(lambda: ask(client, "numbers", 1) == 3)
        halfway._socket.sendall(b'Content-Length: 56\r\n\r\n{"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}')
        assert halfway.answer() == (200, [2.0])
        updating.join()
        assert asked.ask() == halfway.ask() == (200, [3.0, 7.5])


@pytest.mark.parametrize("workers", ["1", "3"])
def test_updates_lose_no_request_of_connections_that_are_kept_or_new(client: DeployClient, workers: str) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"DEPLOYER_WORKERS": workers}})
    with stream(made.url, 4) as kept, stream(made.url, 2, connection="close") as new:
        for model in ("tripler", "doubler"):
            seen = len(kept.answers), len(new.answers)
            eventually(lambda seen=seen: len(kept.answers) > seen[0] + 20 and len(new.answers) > seen[1] + 20)
            client.update_deployment("numbers", str(saved_model(model)))
        seen = len(kept.answers), len(new.answers)
        eventually(lambda: len(kept.answers) > seen[0] + 20 and len(new.answers) > seen[1] + 20)
    assert kept.failures == new.failures == []
    for asked in (kept, new):
        assert asked.answers[0] == asked.answers[-1] == [2.0, 5.0]
        assert [3.0, 7.5] in asked.answers


def test_a_worker_that_is_killed_is_replaced_by_one_that_is_lent_the_same(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")), config={"env": {"DEPLOYER_WORKERS": "1"}})
    before = set(scoring_processes(cloud))
    (container,) = containers(cloud)
    worker = int(Path(f"/proc/{container}/task/{container}/children").read_text().split()[0])
    os.kill(worker, signal.SIGKILL)
    with Kept(made.url) as asked:  # at once: by the proxy, or by the new worker
        assert asked.ask() == (200, [2.0, 5.0])

    def lent_again() -> bool:
        with stopped(supervisor(cloud)):
            try:
                return httpx.post(f"{made.url}/invocations", content=QUESTION, headers=JSON, timeout=1, trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

    eventually(lent_again)
    assert worker not in scoring_processes(cloud)
    assert container in before & set(scoring_processes(cloud))


def test_a_new_address_takes_new_connections_and_the_old_ones_go_on(client: DeployClient, cloud: LocalCloud) -> None:
    made = client.create_deployment("numbers", str(saved_model("doubler")))
    port = urlsplit(made.url).port
    with Kept(made.url) as asked:
        assert asked.ask(host="models.example") == (403, None)
    with Kept(made.url) as asked:
        assert asked.ask() == (200, [2.0, 5.0])
        client.update_deployment("numbers", config={"host": "0.0.0.0", "port": port})  # the same port: the old one is given up first
        assert asked.ask() == (200, [2.0, 5.0])
        with stopped(supervisor(cloud)), Kept(made.url) as new:
            assert new.ask(host="models.example") == (200, [2.0, 5.0])
        moved = client.update_deployment("numbers", config={"host": "::1", "port": 0})
        assert moved.url == f"http://[::1]:{port}"
        with stopped(supervisor(cloud)), Kept(moved.url) as new:
            assert new.ask() == (200, [2.0, 5.0])
        with pytest.raises(ConnectionRefusedError):
            Kept(made.url)
        assert asked.ask() == (200, [2.0, 5.0])


def test_what_is_under_way_is_answered_before_a_deletion(client: DeployClient) -> None:
    made = client.create_deployment("numbers", str(saved_model("slow")))
    with Kept(made.url) as asked, Kept(made.url) as silent:
        asked.send(b'{"dataframe_split": {"columns": ["x"], "data": [[2.0]]}}')
        time.sleep(0.5)
        client.delete_deployment("numbers")
        assert asked.answer() == (200, [4.0])
        assert silent._socket.recv(1) == b""


@asynccontextmanager
async def server(python: str, path: str) -> AsyncIterator[tuple[SocketHandover, list[socket.socket]]]:
    """A server alone, with what a supervisor has of it, and the connections that it gave back."""
    returned: list[socket.socket] = []
    handover = SocketHandover(lambda: None, returned.append)
    environment = {"DEPLOYER_MODEL": str(saved_model("doubler")), "DEPLOYER_HANDOVER_FD": str(handover.inherited.fileno()), "PYTHONPATH": path}
    command = [python, "-m", "deployer_scoring", "serve", "--host", "127.0.0.1", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, env=environment, pass_fds=[handover.inherited.fileno()], stderr=subprocess.DEVNULL) as process:
        try:
            handover.inherited.close()
            await until(lambda: handover.reported)
            yield handover, returned
        finally:
            handover.close()
            process.terminate()


async def until(holds: object) -> None:
    async with asyncio.timeout(60):
        while not holds():  # type: ignore[operator]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["uvloop", "asyncio", "the oldest Python"])
def test_every_event_loop_takes_sockets_and_gives_them_back(kind: str, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError\n")
    path = os.pathsep.join([*([str(tmp_path)] if kind == "asyncio" else []), str(IMAGES)])
    python = str(oldest_python()) if kind == "the oldest Python" else sys.executable

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, Kept(f"http://127.0.0.1:{listener.getsockname()[1]}") as waiting:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with server(python, path) as (first, given_back), server(python, path) as (second, _):
                first.lend("127.0.0.1", [listener])
                await first.obeyed()
                assert await asyncio.to_thread(waiting.ask) == (200, [2.0, 5.0])
                first.rest()
                await first.obeyed()
                rested = given_back.pop()  # by the time that it has obeyed
                assert (first.accepting, first.reported) == (False, True)
                first.lend("127.0.0.1", [listener])
                await first.obeyed()
                assert first.give(rested)
                rested.close()
                assert await asyncio.to_thread(waiting.ask) == (200, [2.0, 5.0])
                second.lend("127.0.0.1", [listener])
                first.leave(move=True)
                await first.left()
                (connection,) = given_back
                assert second.give(connection)
                connection.close()
                assert await asyncio.to_thread(waiting.ask) == (200, [2.0, 5.0])
                with Kept(url) as new:
                    assert await asyncio.to_thread(new.ask) == (200, [2.0, 5.0])
                second.leave(move=False)
                await second.left()
                assert waiting._socket.recv(1) == b""

    asyncio.run(run())
