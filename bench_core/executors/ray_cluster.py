"""Connects to a Ray cluster, or starts one on this machine. If neither is possible, it raises a UsageError at once."""

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
OBJECT_STORE_BYTES = 200 * 2**20  # bundles are small, and are removed as soon as the driver has them


def import_ray() -> Any:
    """Return the module ray. Raises UsageError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if "ray" not in sys.modules:  # else it has read its mode, and a cluster that it starts must have the same
        os.environ.update(authentication())
    try:
        import ray
    except ImportError as error:
        message = f'needs ray ({error}); install it with: pip install "adversarial-bench[ray]"'
        raise UsageError(Fault("--executor", "ray", message)) from None
    return ray


@dataclass(frozen=True)
class Request:
    """What each worker reserves on its node. A fraction of a GPU lets several workers share it."""

    cpus: float
    gpus: float

    def fits(self, resources: Mapping[str, float]) -> int:
        """Return how many workers fit on a node with these resources."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        shares = [resources.get(name, 0.0) / amount for name, amount in wanted.items() if amount > 0]
        return int(min(shares) + 1e-9) if shares else 1

    def __str__(self) -> str:
        return f"CPU {self.cpus:g}" + (f", GPU {self.gpus:g}" if self.gpus else "")


def capacity(nodes: Iterable[Mapping[str, Any]], request: Request) -> int:
    """Return how many workers fit on the live nodes of a cluster."""
    return sum(request.fits(node["Resources"]) for node in nodes if node["Alive"])


def check_capacity(nodes: Iterable[Mapping[str, Any]], request: Request, address: str) -> None:
    """Raise UsageError if no node is large enough for a worker: ray itself would wait for ever."""
    nodes = [node for node in nodes if node["Alive"]]
    if capacity(nodes, request):
        return
    sizes = [Request(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0)) for node in nodes]
    offered = "; ".join(sorted({f"{size}" + ("" if size.gpus else ", no GPU") for size in sizes}))
    message = f"each worker asks for {request}, and no node of the cluster has that (its nodes: {offered})"
    raise UsageError(Fault("--executor ray", address, message))


def local_gpus() -> float:
    """Return how many GPUs ray finds on this machine; infinity if this release of ray does not report it."""
    try:
        from ray._private.accelerators import get_accelerator_manager_for_resource

        manager = get_accelerator_manager_for_resource("GPU")
        return float(manager.get_current_node_num_accelerators()) if manager else math.inf
    except Exception:  # not a public interface of ray
        return math.inf


def connect(address: str, cpus: int) -> bool:
    """Connect to a cluster. A program that is already connected keeps its connection.

    Args:
        address: `local` to start a cluster, `auto` for the one that runs on this machine, else HOST:PORT.
        cpus: The number of CPUs of a cluster that is started.

    Returns:
        Whether this call connected, so that the caller must disconnect.

    Raises:
        UsageError: If there is no such cluster, or it rejects this machine.
    """
    ray = import_ray()
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
    except Exception as error:  # ray has no single class for the reasons of a rejection
        raise UsageError(Fault("--address", address, f"cannot join the cluster: {first_line(error)}")) from None
    return True


def probe(address: str) -> None:
    """Raise UsageError if no cluster answers: `ray.init` would wait for minutes."""
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in address:
            raise UsageError(Fault("--address", address, "no address of a cluster (try local, auto, HOST:PORT)"))
        try:
            socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS).close()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(Fault("--address", address, f"no Ray cluster answers there ({reason})")) from None
    options = [] if address == "auto" else ["--address", address]
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", *options]
    output = b""
    with suppress(subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, timeout=HEALTH_SECONDS, check=False)
        if done.returncode == 0:
            return
        output = done.stdout + done.stderr
    if REFUSED.search(output):
        message = (
            "the cluster wants its token, and this machine has another or none (copy the head's ~/.ray/auth_token)"
        )
        raise UsageError(Fault("--address", address, message))
    hint = "start one with: ray start --head" if address == "auto" else "is it the port of `ray start --head`?"
    raise UsageError(Fault("--address", address, f"no Ray cluster answers there ({hint})"))


def authentication() -> dict[str, str]:
    """Return the variables that make ray send its token. They must be set before ray is imported.

    `ray start` requires a token if the machine has one, but `health-check` and a driver send theirs only in this mode.
    """
    has_token = any(os.environ.get(name) for name in TOKENS) or Path("~/.ray/auth_token").expanduser().is_file()
    return {"RAY_AUTH_MODE": "token"} if has_token and "RAY_AUTH_MODE" not in os.environ else {}


def first_line(error: BaseException) -> str:
    """Return the first line of an error, since errors of ray can have pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0] if lines else type(error).__name__)[:300]
