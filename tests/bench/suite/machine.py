"""What the numbers were measured on: machine, date, versions."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import sys

from .measure import Failed, NotFound, prepared

REQUIREMENTS = pathlib.Path(__file__).parent.parent / "requirements.txt"


def threads() -> int:
    """Cores this process may use; every peer that takes a number gets this one."""
    return len(os.sched_getaffinity(0))


def load() -> str:
    """Load average of the last minute: above the number of cores, wall times say little."""
    return f"{os.getloadavg()[0]:.1f}"


def description(obmen: str, postgres: str) -> str:
    """The paragraph that stands above all tables."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = [_version_of(obmen), f"Python {platform.python_version()}", _server_version(postgres)]
    versions += [f"{name} {_installed(name) or 'not found'}" for name in _pinned()]
    return (
        f"{now}; {_processor()}, {threads()} cores, {memory / 1e9:.0f} GB, {platform.system()} {platform.release()}, "
        f"load {load()}.\n\n{', '.join(versions)}."
    )


def require(package: str) -> None:
    """Raises `NotFound` with the command that installs a peer, when it is not installed."""
    if _installed(package) is None:
        raise NotFound(f"not found: pip install {package}=={_pinned().get(package, '')}".rstrip("="))


def require_program(name: str, how: str) -> str:
    """The path of a program, or `NotFound` with what brings it."""
    path = shutil.which(name)
    if path is None:
        raise NotFound(f"not found: {how}")
    return path


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module of this package in a process of its own."""
    return [sys.executable, "-m", module, *(str(argument) for argument in arguments)]


def _pinned() -> dict[str, str]:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return {found[1]: found[2] for line in lines if (found := re.match(r"([a-z0-9-]+)==([^;\s]+)", line))}


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_of(obmen: str) -> str:
    try:
        return prepared([obmen, "--version"]).strip()
    except (Failed, NotFound) as error:
        return f"obmen: {error}"


def _server_version(url: str) -> str:
    try:
        return "PostgreSQL " + prepared(["psql", url, "-Atqc", "SHOW server_version"]).split()[0]
    except (Failed, NotFound):
        return "PostgreSQL not reached"


def _processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"model name\s*: (.+)", text)[1]
    except (OSError, TypeError):
        return platform.machine()
