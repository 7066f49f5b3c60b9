"""What scripts/docker-engine and scripts/kubernetes-engine have of their users, and how the latter undoes its rules in the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = str(Path(__file__).parents[2] / "scripts")


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(SCRIPTS)
    import engines
    import engines.kubernetes_cluster
    import engines.users

    yield engines
    for name in [each for each in sys.modules if each.partition(".")[0] == "engines"]:
        del sys.modules[name]


def test_an_engine_is_used_for_as_long_as_one_of_its_users_lives(engines: ModuleType, tmp_path: Path) -> None:
    users = engines.users.Users(tmp_path / "users")
    assert not users.living()
    with subprocess.Popen(["sleep", "60"]) as other:
        users.add(str(other.pid))
        users.add(str(os.getpid()))
        users.remove(str(os.getpid()))
        assert users.living()
        other.kill()
    assert not users.living()


def test_a_person_uses_it_until_it_is_said(engines: ModuleType, tmp_path: Path) -> None:
    users = engines.users.Users(tmp_path / "users")
    users.add(engines.users.BY_HAND)
    users.add(str(os.getpid()))
    users.remove(str(os.getpid()))
    assert users.living()
    users.remove(engines.users.BY_HAND)
    assert not users.living()


def test_an_id_that_another_process_has_by_now_is_no_user(engines: ModuleType, tmp_path: Path) -> None:
    users = engines.users.Users(tmp_path)
    (tmp_path / str(os.getpid())).write_text("1")  # it began at another time
    assert not users.living()


def test_a_process_that_ignores_its_end_is_killed(engines: ModuleType) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as stubborn:
        assert stubborn.stdout
        stubborn.stdout.readline()
        engines.users.end(stubborn.pid, 0.2)
        assert stubborn.wait() == -9


SAVED = """*filter
:INPUT ACCEPT [10:800]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -o deployer-k8s -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A KUBE-FIREWALL -m comment --comment "of marked packets" -j DROP
-A DOCKER -d 172.17.0.2/32 -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.253.0.0/24 ! -o deployer-k8s -j MASQUERADE
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
COMMIT
"""


def test_kubernetes_rules_and_ours_are_taken_out_and_all_others_stay(engines: ModuleType) -> None:
    assert engines.kubernetes_cluster.undone(SAVED).splitlines() == [
        "*filter",
        ":KUBE-FIREWALL - [0:0]",
        "-D INPUT -j KUBE-FIREWALL",
        "-D FORWARD -o deployer-k8s -j ACCEPT",
        "-X KUBE-FIREWALL",
        "COMMIT",
        "*nat",
        "-D POSTROUTING -s 10.253.0.0/24 ! -o deployer-k8s -j MASQUERADE",
        "COMMIT",
    ]
