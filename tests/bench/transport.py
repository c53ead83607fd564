"""What TLS costs at the listener: beside the same server without it."""

import pathlib
import re
import subprocess

import programs
from table import Row

CERTIFICATES = programs.ROOT / "tests/data/tls"


class Listening:
    """A pushline whose lines go to /dev/null."""

    def __init__(self, built, environment=()):
        environment = {"PUSHLINE_SERVER_LISTEN": "127.0.0.1:0", **dict(environment)}
        streams = {"stdin": subprocess.DEVNULL, "stdout": programs.NOWHERE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([built.pushline], env=environment, text=True, **streams)
        for line in self.process.stderr:
            if found := re.search(r"msg=listening address=(\S+)", line):
                self.address = found[1]
            if "msg=writing" in line:
                break

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()


def pair():
    return {"PUSHLINE_SERVER_TLS_CERT": f"{CERTIFICATES}/server.pem", "PUSHLINE_SERVER_TLS_KEY": f"{CERTIFICATES}/server.key"}


def tls(built):
    with Listening(built) as plain, Listening(built, pair()) as sealed:
        figures = built.figures(plain.address, sealed.address, CERTIFICATES / "ca.pem", tool="tls")
    return [
        Row("200-byte pushes, 16 kept connections: plain / TLS", [figures["plain_per_s"], figures["tls_per_s"]], unit="requests/s"),
        Row("the same, TLS ÷ plain", [figures["kept_ratio"]], [0.7], [0.85]),
        Row("TLS handshakes, P-256: full / resumed", [figures["full_per_s"], figures["resumed_per_s"]], unit="a second"),
        Row("probe on a kept connection under 200 new handshakes a second, p50", [figures["probe_p50_ms"]], unit="ms"),
        Row("the same, p99", [figures["probe_p99_ms"]], [50], [10], "less", "ms"),
    ]
