"""A real Slurm cluster on this machine: one slurmctld and two slurmd, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol")
NODES = ("n1", "n2")

_SETTINGS = """\
ClusterName=hubkit
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
PlugStackConfig=/dev/null
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
KillWait=5
MinJobAge=3600
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=8000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 DefMemPerNode=2000 State=UP
PartitionName=second Nodes=n2 MaxTime=60 DefMemPerNode=2000 State=UP
"""


@dataclass(frozen=True)
class Cluster:
    """`settings` is its slurm.conf; programs find the cluster by `SLURM_CONF`."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "slurm.conf"

    def ask(self, *command: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "SLURM_CONF": str(self.settings)},
        )
        return done.stdout.strip()


def missing() -> list[str]:
    """The programs that this machine lacks; Debian has them in slurm-wlm."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Two nodes of four processors; jobs of `main` run on both, those of `second` on n2."""
    (folder / "state").mkdir(parents=True)
    made = Cluster(folder)
    values = {
        "folder": folder,
        "host": socket.gethostname(),
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "ports": _free_ports(3),
    }
    made.settings.write_text(_SETTINGS.format(**values))
    environment = {**os.environ, "SLURM_CONF": str(made.settings)}
    commands = [["slurmctld", "-D"], *(["slurmd", "-D", "-N", node] for node in NODES)]
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            servers.append(_start(command, folder, environment))
        _wait_until_idle(made)
        yield made
        subprocess.run(["scancel", "--partition=main,second"], env=environment, check=False)
        time.sleep(1)
    finally:
        for server in reversed(servers):
            server.terminate()
        for server in servers:
            server.wait(20)


def _start(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with (folder / "servers.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _wait_until_idle(made: Cluster) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if made.ask("sinfo", "-h", "-N", "-o", "%T", "-p", "main").split() == ["idle", "idle"]:
                return
        except subprocess.CalledProcessError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"the cluster did not start: see {made.folder}")


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports
