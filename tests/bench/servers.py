"""The servers that are measured: processes on loopback, stopped while another is measured."""

import atexit
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.request

import programs

PATIENCE_S = 60
PUSH_PATH = "/metrics/job/bench/instance/host-1"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server. It begins to run when it is made, and stands still but for `running()`."""

    path = PUSH_PATH
    readiness = "/-/ready"

    def __init__(self, command, environment=(), **streams):
        self.process = subprocess.Popen(
            command, env=dict(os.environ, **dict(environment)), **(programs.QUIET | streams)
        )
        # Whatever ends the run, no server outlives it.
        atexit.register(self.process.kill)
        self._wait_until_ready()
        self._signal(signal.SIGSTOP)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=PATIENCE_S) as answer:
            return answer.read().decode()

    @contextlib.contextmanager
    def running(self):
        self._signal(signal.SIGCONT)
        yield self
        self._signal(signal.SIGSTOP)

    def load(self, built, body, connections, seconds):
        """Pushes that body again and again: what was answered, and the CPU time it took."""
        with self.running():
            before = self.cpu_s()
            report = built.figures("load", self.address, self.path, body, connections, seconds)
            report["cpu_s"] = self.cpu_s() - before
        if report["refused"] or report["broken"]:
            raise SystemExit(
                f"bench: {type(self).__name__} refused a {body} push or broke: {report}"
            )
        return report

    def cpu_s(self):
        fields = (
            pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status_mib(self, field):
        """VmRSS, or VmHWM for its peak."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1]) / 1024

    def end(self):
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def _signal(self, number):
        self.process.send_signal(number)

    def _wait_until_ready(self):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.get(self.readiness)
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise SystemExit(f"bench: {type(self).__name__} did not start") from None
            time.sleep(0.01)


class Pushline(Server):
    """With its defaults; a reader that consumes the lines counts them."""

    def __init__(self, built):
        self.port = free_port()
        self.reader = subprocess.Popen(
            [built.tool, "drain"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        environment = {"PUSHLINE_SERVER_LISTEN": self.address}
        super().__init__(self.command(built), environment, stdout=self.reader.stdin)
        self.reader.stdin.close()
        self.lines = self.bytes = 0

    def command(self, built):
        return [built.pushline]

    def load(self, built, body, connections, seconds):
        report = super().load(built, body, connections, seconds)
        pushes = report["answered"] + report["late"]
        self.lines += pushes * built.describe(body)["lines"]
        self.bytes += pushes * built.describe(body)["lines_bytes"]
        return report

    def end(self):
        """Ends the run unless the reader got exactly what the pushes answered with 200 become.

        That holds for bytes too: the time of a push has as many digits as the expected one.
        """
        status = super().end()
        told = {name: float(value) for name, value in map(str.split, self.reader.stdout)}
        self.reader.wait(PATIENCE_S)
        want = {"lines": self.lines, "bytes": self.bytes}
        if status or told != want:
            name = type(self).__name__
            raise SystemExit(f"bench: {name} ended with {status}; {told} came, not {want}")


class ToNothing(Server):
    """pushline whose lines go to /dev/null."""

    def __init__(self, built):
        self.port = free_port()
        super().__init__([built.pushline], {"PUSHLINE_SERVER_LISTEN": self.address})


class NullStore:
    """A store that takes everything at once."""

    def __init__(self, built, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [built.tool, "store", f"127.0.0.1:{self.port}"], **programs.QUIET
        )
        atexit.register(self.process.kill)

    def url(self):
        return f"http://127.0.0.1:{self.port}/write"

    def counts(self):
        with urllib.request.urlopen(self.url(), timeout=PATIENCE_S) as answer:
            told = answer.read().decode()
        return {name: float(value) for name, value in map(str.split, told.splitlines())}

    def end(self):
        self.process.kill()


class OverHttp(Server):
    """pushline whose lines go to a store over HTTP."""

    def __init__(self, built, url, gzip="false", more=()):
        self.port = free_port()
        self.samples = 0
        environment = {
            "PUSHLINE_SERVER_LISTEN": self.address,
            "PUSHLINE_OUTPUT_TARGET": url,
            "PUSHLINE_OUTPUT_HTTP_GZIP": gzip,
        }
        super().__init__([built.pushline], environment | dict(more))

    def load(self, built, body, connections, seconds):
        report = super().load(built, body, connections, seconds)
        self.samples += (report["answered"] + report["late"]) * built.describe(body)["lines"]
        return report

    def end(self):
        if status := super().end():
            raise SystemExit(f"bench: pushline over HTTP ended with {status}")


class Direct(Pushline):
    """The same with a plain channel in the place of tiny_http."""

    def command(self, built):
        return [built.direct]


class Old(Pushline):
    """The binary that pushline is compared with."""

    def command(self, built):
        return [built.old]


class Pushgateway(Server):
    """Debian's, with an empty state and its defaults, which keep nothing on disk."""

    program = "prometheus-pushgateway"

    def __init__(self, *flags):
        self.port = free_port()
        super().__init__(
            [self.program, f"--web.listen-address={self.address}", "--persistence.file=", *flags]
        )

    def end(self):
        """Ends the run unless it shows the push."""
        with self.running():
            found = re.search(
                r'^batch_rows{instance="host-1",job="bench"} 1.5e\+06',
                self.get("/metrics"),
                re.MULTILINE,
            )
        super().end()
        if not found:
            raise SystemExit("bench: prometheus-pushgateway does not show what was pushed")


class VictoriaMetrics(Server):
    """Debian's, with its defaults."""

    program = "victoria-metrics"
    path = "/api/v1/import/prometheus"
    readiness = "/health"

    def __init__(self, folder):
        self.port = free_port()
        self.samples = 0
        super().__init__(
            [self.program, f"-httpListenAddr={self.address}", f"-storageDataPath={folder}"]
        )

    def load(self, built, body, connections, seconds):
        report = super().load(built, body, connections, seconds)
        self.samples += (report["answered"] + report["late"]) * built.describe(body)["samples"]
        return report

    def end(self):
        """Ends the run unless it took every sample."""
        with self.running():
            found = re.search(
                r'^vm_rows_inserted_total{type="prometheus"} (\S+)',
                self.get("/metrics"),
                re.MULTILINE,
            )
        super().end()
        if float(found[1]) != self.samples:
            raise SystemExit(
                f"bench: victoria-metrics took {found[1]} samples, not {self.samples:.0f}"
            )


class VmAgent(Server):
    """Debian's, writing into a victoria-metrics; it answers before it has delivered."""

    program = "vmagent"
    path = "/api/v1/import/prometheus"
    readiness = "/health"

    def __init__(self, store, folder):
        self.port = free_port()
        super().__init__(
            [
                self.program,
                f"-httpListenAddr={self.address}",
                f"-remoteWrite.url=http://{store.address}/api/v1/write",
                f"-remoteWrite.tmpDataPath={folder}",
            ]
        )
