"""One process, measured: CPU, wall time, peak memory."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TIMEOUT_SECONDS = 3600


MEGABYTE = 2**20  # as `memory:` of a project counts, and peaks are shown


class Failed(Exception):
    """A program that did not end well: the line that says why, and all it wrote to stdout."""

    def __init__(self, reason: str, output: str = "") -> None:
        super().__init__(reason)
        self.output = output


class NotFound(Failed):
    """A program or package that is not installed; the text says how to install it."""


class Wrong(Exception):
    """A program that ended well with a result that is not the one the generator knows."""


@dataclass(frozen=True)
class Measurement:
    """What one process and the children it waited for took."""

    cpu: float  # seconds, user and system
    wall: float  # seconds
    peak: int  # bytes of resident memory; of a tree, those of its largest process
    output: str = ""  # what it wrote to stdout
    delivered: int = 0  # bytes of the files it delivered


def measured(
    command: Sequence[str | os.PathLike[str]],
    *,
    environment: Mapping[str, str] | None = None,
    keep_output: bool = True,
) -> Measurement:
    """Runs `command` to its end. Raises `Failed` when it does not end with 0, `NotFound` when it does not exist."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        try:
            process = subprocess.Popen(
                [os.fspath(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output if keep_output else subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotFound(f"not found: {error.filename}") from error
        _, status, usage = _wait(process.pid)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise Failed(_first_line(process.returncode, _text(errors), _text(output)), _text(output))
        peak = usage.ru_maxrss * 1024
        return Measurement(usage.ru_utime + usage.ru_stime, wall, peak, _text(output))


def prepared(command: Sequence[str | os.PathLike[str]], **options: Mapping[str, str]) -> str:
    """Runs what is not measured (generators, checks) and returns its output. Raises like `measured`."""
    return measured(command, **options).output


def size_of(path: pathlib.Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _wait(pid: int):
    """Waits for one child; unlike `subprocess`, returns what it and its children used."""
    timer = threading.Timer(TIMEOUT_SECONDS, os.killpg, (pid, signal.SIGKILL))
    timer.start()
    try:
        return os.wait4(pid, 0)
    except BaseException:
        os.killpg(pid, signal.SIGKILL)
        os.wait4(pid, 0)
        raise
    finally:
        timer.cancel()


def _text(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _first_line(code: int, *texts: str) -> str:
    """The line that says what went wrong: of a Python traceback the one after it, otherwise the first."""
    for text in texts:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if any(line.startswith("Traceback") for line in lines):
            unindented = [line for line in text.splitlines() if line and not line[0].isspace()]
            return unindented[-1] if unindented else lines[-1]
        if lines:
            return lines[0]
    return f"killed by signal {-code} (time limit or memory)" if code < 0 else f"exit code {code}"
