"""Lets a real client push to a real pushline over TLS, with a certificate of its own and without, and looks that it is
refused where it must be: run.py curl|python|node|go|java|openssl"""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
HERE = ROOT / "tests/clients/tls"
DATA = ROOT / "tests/data/tls"
CLIENTS = {
    "python": [sys.executable, str(HERE / "push.py")],
    "node": ["node", str(HERE / "push.js")],
    "go": [str(TARGET / "clients/go/push_tls")],
    "java": ["java", str(HERE / "Push.java")],
}
PATH = "/metrics/job/tls"


class Pushline:
    """A process of our own that speaks TLS with that certificate."""

    def __init__(self, cert, client_ca=None):
        self.environment = dict(os.environ, PUSHLINE_SERVER_LISTEN="127.0.0.1:0",
                                PUSHLINE_SERVER_TLS_CERT=str(DATA / f"{cert}.pem"),
                                PUSHLINE_SERVER_TLS_KEY=str(DATA / f"{cert}.key"))
        if client_ca:
            self.environment["PUSHLINE_SERVER_TLS_CLIENT_CA"] = str(DATA / client_ca)

    def __enter__(self):
        self.output = tempfile.TemporaryFile()
        self.process = subprocess.Popen([TARGET / "debug/pushline"], env=self.environment, stdout=self.output,
                                        stderr=subprocess.PIPE, text=True, encoding="utf-8")
        for line in self.process.stderr:
            if found := re.search(r"msg=listening address=\S+:(\d+) tls=on", line):
                self.port = int(found[1])
                self.url = f"https://localhost:{self.port}{PATH}"
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.output.close()

    def pushes(self):
        """How many pushes are on the output."""
        self.output.seek(0)
        return self.output.read().count(b"\n")


def command(language, url, authority, own):
    """What pushes once."""
    files = [str(DATA / authority)] + ([str(DATA / f"{own}.{kind}") for kind in ("pem", "key")] if own else [])
    if language != "curl":
        return [*CLIENTS[language], url, *files]
    own = ["--cert", files[1], "--key", files[2]] if own else []
    return ["curl", "-sS", "--fail-with-body", "--cacert", files[0], *own, "--data-binary", "a_b 1\n", url]


def client(language):
    """Every pair of what a client trusts and shows."""
    count = 0
    for cert, client_ca, authority, own, is_served in [
        ("server", None, "ca.pem", None, True),
        ("rsa", None, "ca.pem", None, True),
        ("chain", None, "ca.pem", None, True),
        ("server", None, "other.pem", None, False),
        ("server", "ca.pem", "ca.pem", "client", True),
        ("server", "ca.pem", "ca.pem", None, False),
        ("server", "ca.pem", "ca.pem", "stranger", False),
        ("server", "ca.pem", "ca.pem", "expired", False),
    ]:
        with Pushline(cert, client_ca) as pushline:
            done = subprocess.run(command(language, pushline.url, authority, own), capture_output=True, text=True)
            what = f"{language} trusts {authority}, shows {own or 'nothing'}, meets {cert}"
            assert (done.returncode == 0) == is_served, f"{what}: {done.returncode}\n{done.stdout}{done.stderr}"
            assert (pushline.pushes() > 0) == is_served, what
            print(f"{what}: {'served' if is_served else 'refused'}")
            count += 1
    print(f"{count} passed, 0 failed")


def openssl():
    """What only openssl's s_client does: renegotiation, old versions, no protocol in common, plain bytes."""
    with Pushline("server") as pushline:
        def s_client(*arguments, text=""):
            base = ["openssl", "s_client", "-connect", f"localhost:{pushline.port}", "-CAfile", str(DATA / "ca.pem")]
            done = subprocess.run([*base, *arguments], input=text, capture_output=True, text=True, timeout=30)
            return done.stdout + done.stderr

        request = f"POST {PATH} HTTP/1.0\r\nContent-Length: 6\r\n\r\na_b 1\n"
        for version in ("-tls1_2", "-tls1_3"):
            assert "200 OK" in s_client(version, "-quiet", "-verify_return_error", text=request), version
        # A line that begins with R asks for renegotiation, in TLS 1.2.
        told = s_client("-tls1_2", text="R\n")
        assert "RENEGOTIATING" in told and "no renegotiation" in told.lower(), told
        for old in ("-tls1", "-tls1_1"):
            told = s_client(old, "-cipher", "ALL:@SECLEVEL=0")
            assert "Cipher is (NONE)" in told, told
        told = s_client("-alpn", "h2")
        assert "no application protocol" in told, told
        # A session that is saved is resumed, in both versions.
        for version in ("-tls1_2", "-tls1_3"):
            with tempfile.NamedTemporaryFile() as session:
                s_client(version, "-sess_out", session.name, "-ign_eof", text=request)
                told = s_client(version, "-sess_in", session.name, "-ign_eof", text=request)
                assert "Reused, TLSv1" in told, told
        with socket.create_connection(("localhost", pushline.port)) as plain:
            plain.sendall(request.encode())
            assert b"400 Bad Request" in plain.recv(4096)
        assert "200 OK" in s_client("-quiet", text=request), "it serves on"
        print("9 passed, 0 failed")


if __name__ == "__main__":
    openssl() if sys.argv[1] == "openssl" else client(sys.argv[1])
