"""Finds a Ray cluster, or starts one on this machine; says at once, in one line, why one cannot be had."""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Fault, UsageError, one_line

LOCAL = "local"
PROBE_SECONDS = 5.0
HEALTH_SECONDS = 30.0
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
REFUSED = re.compile(rb"AuthenticationError|InvalidAuthToken|UNAUTHENTICATED")
OBJECT_STORE_BYTES = 200 * 2**20  # bundles are small, and leave the store as soon as the driver has them


def the_ray() -> Any:
    """Import ray. Raises UsageError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.update(authentication())
    try:
        import ray
    except ImportError as error:
        message = f'needs ray ({error}); install it with: pip install "adversarial-bench[ray]"'
        raise UsageError(Fault("--executor", "ray", message)) from None
    return ray


@dataclass(frozen=True)
class Request:
    """What each worker asks of its node. Fractions of a GPU let several workers share one."""

    cpus: float
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """Say how many workers a node with these resources has room for."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        shares = [resources.get(name, 0.0) / much for name, much in wanted.items() if much > 0]
        return int(min(shares) + 1e-9) if shares else 1

    def __str__(self) -> str:
        return f"CPU {self.cpus:g}" + (f", GPU {self.gpus:g}" if self.gpus else "")


def room(nodes: Iterable[Mapping[str, Any]], request: Request) -> int:
    """Say how many workers the living nodes of a cluster hold."""
    return sum(request.fits(node["Resources"]) for node in nodes if node["Alive"])


def check_room(nodes: Iterable[Mapping[str, Any]], request: Request, address: str) -> None:
    """Raise UsageError where no node could ever hold a worker: ray itself would wait for ever."""
    nodes = [node for node in nodes if node["Alive"]]
    if room(nodes, request):
        return
    has = [Request(n["Resources"].get("CPU", 0.0), n["Resources"].get("GPU", 0.0)) for n in nodes]
    offered = "; ".join(sorted({f"{each}" + ("" if each.gpus else ", no GPU") for each in has}))
    message = f"each worker asks for {request}, and no node of the cluster has that (its nodes: {offered})"
    raise UsageError(Fault("--executor ray", address, message))


def gpus_here() -> float:
    """Say how many GPUs ray would find on this machine; no limit where this release of it does not tell."""
    try:
        from ray._private.accelerators import get_accelerator_manager_for_resource

        manager = get_accelerator_manager_for_resource("GPU")
        return float(manager.get_current_node_num_accelerators()) if manager else math.inf
    except Exception:  # it is not ray's public face
        return math.inf


def connect(address: str, cpus: int) -> bool:
    """Connect to a cluster: `local` starts one of `cpus`, `auto` takes the one of this machine, else HOST:PORT.

    Gives whether this call connected, and so must disconnect; a program that is connected already stays so. Raises
    UsageError where there is no cluster.
    """
    ray = the_ray()
    if ray.is_initialized():
        present = ray.get_runtime_context().gcs_address
        if address not in (LOCAL, "auto", present):
            raise UsageError(Fault("--address", address, f"this program is connected to {present} already"))
        return False
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        local = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        try:
            ray.init(address=LOCAL, num_cpus=cpus, **local, **quiet)
        except OSError as error:
            reason = f"Ray cannot start here ({one_line(error.strerror or first_line(error))})"
            raise UsageError(Fault("--executor", "ray", reason)) from None
        return True
    probe(address)
    try:
        ray.init(address=address, **quiet)
    except Exception as error:  # ray has no class of its own for what a cluster may refuse
        raise UsageError(Fault("--address", address, f"cannot join the cluster: {first_line(error)}")) from None
    return True


def probe(address: str) -> None:
    """Raise UsageError where no cluster answers: `ray.init` would wait for a dead one for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in address:
            raise UsageError(Fault("--address", address, "no address of a cluster (would do: local, auto, HOST:PORT)"))
        try:
            socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(Fault("--address", address, f"no Ray cluster answers there ({reason})")) from None
    asked = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *asked]
    told = b""
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=HEALTH_SECONDS, check=False)
        if done.returncode == 0:
            return
        told = done.stdout + done.stderr
    if REFUSED.search(told):
        message = (
            "the cluster wants its token, and this machine has another or none (copy the head's ~/.ray/auth_token)"
        )
        raise UsageError(Fault("--address", address, message))
    hint = "start one with: ray start --head" if address == "auto" else "is it the port of `ray start --head`?"
    raise UsageError(Fault("--address", address, f"no Ray cluster answers there ({hint})"))


def authentication() -> dict[str, str]:
    """Give what the environment lacks: `ray start` wants a token wherever there is one, while `health-check` and a
    driver that joins show theirs only if told to before ray is imported."""
    given = any(os.environ.get(name) for name in TOKENS) or Path("~/.ray/auth_token").expanduser().is_file()
    return {"RAY_AUTH_MODE": "token"} if given and "RAY_AUTH_MODE" not in os.environ else {}


def first_line(error: BaseException) -> str:
    """Give the first words of an error that ray tells in pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0] if lines else type(error).__name__)[:300]
