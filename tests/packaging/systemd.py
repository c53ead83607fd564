"""Runs the Debian package under a real systemd: systemd.py ROOT DEB EXAMPLES

ROOT is a Debian file system that scripts/unpack has made; it is only read, everything is written to memory. systemd is
process 1 of namespaces of its own, with a loopback network of its own, so nothing of this machine is touched. Needs root.
"""

import concurrent.futures
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE_S = 60
PORT = 9091
# Not more than what is needed to boot: no devices to wait for, no terminals.
MASKED = ("systemd-udevd.service", "systemd-udev-trigger.service", "systemd-networkd.service", "getty.target",
          "systemd-logind.service", "systemd-resolved.service", "systemd-timesyncd.service", "mosquitto.service",
          "systemd-tmpfiles-setup-dev.service", "systemd-sysctl.service", "dev-hugepages.mount", "dev-mqueue.mount")  # fmt: skip
BROKER = """[Service]
ExecStart=/usr/sbin/mosquitto -c /etc/broker.conf
"""
BROKER_CONFIG = """listener 1883 127.0.0.1
allow_anonymous true
user root
max_queued_messages 0
"""
SUBSCRIBER = """[Service]
Restart=always
RestartSec=50ms
ExecStart=/usr/bin/mosquitto_sub -h 127.0.0.1 -q 1 -t metrics
StandardOutput=append:/root/received
"""
# Holds everything until its end, so that it is still at work when pushline has ended.
SLOW_CONSUMER = """#!/bin/sh
tac | mosquitto_pub -h 127.0.0.1 -q 1 -t metrics -l
"""
# More restarts than systemd allows by default, in less time.
OFTEN = "[Service]\nRestartSec=50ms\n"
PUSHERS = 8
RESTARTS = 4


def wait_for(what, is_there):
    """Waits for an event, not for a time."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := is_there()):
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)
    return found


class Machine:
    """A booted systemd. Paths are those inside of it."""

    def __init__(self, source, folder):
        self.root, self.folder = folder / "root", folder
        for name in ("root", "upper", "work"):
            (folder / name).mkdir()
        overlay = f"lowerdir={source},upperdir={folder}/upper,workdir={folder}/work"
        run("mount", "-t", "overlay", "overlay", "-o", overlay, self.root)
        for name in ("passwd", "group"):
            shutil.copy(self.root / f"usr/share/base-passwd/{name}.master", self.root / "etc" / name)
        (self.root / "var/lib/dpkg/status").touch()
        # With one it is no first boot, at which systemd would enable every unit.
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        for name in MASKED:
            self.write(f"/etc/systemd/system/{name}", None)
        self.process = self.pid = None

    def write(self, path, text, mode=0o644):
        """A file, or with no text a link to /dev/null, as systemd masks units."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            file.symlink_to("/dev/null")
        else:
            file.write_text(text)
            file.chmod(mode)

    def read(self, path):
        return (self.root / path.lstrip("/")).read_text()

    def chroot(self, *command):
        """Before it is booted."""
        return run("chroot", self.root, *command)

    def boot(self):
        # A group of its own, so that systemd finds itself at the top of what it may divide.
        unified = next(path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
                       if pathlib.Path(path, "cgroup.procs").exists())  # fmt: skip
        self.group = pathlib.Path(unified, f"pushline-test-{os.getpid()}")
        self.group.mkdir()
        script = """
            echo $$ >"$1/cgroup.procs"
            exec unshare --pid --fork --kill-child --mount --cgroup --ipc --uts sh -ec '
                cd "$0"
                mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t cgroup2 cgroup2 sys/fs/cgroup
                mount -t tmpfs -o mode=755 tmpfs dev && mount -t tmpfs tmpfs run
                for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
                mkdir dev/pts dev/shm && mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
                mount -t tmpfs tmpfs dev/shm && ln -s pts/ptmx dev/ptmx && ln -s /proc/self/fd dev/fd
                mkdir -p .old && pivot_root . .old && umount -l /.old
                exec env -i container=pushline-test PATH=/usr/sbin:/usr/bin \
                    /lib/systemd/systemd --unit=basic.target --show-status=no' "$2"
        """
        self.log = open(self.folder / "console", "w+")
        command = ["sh", "-ec", script, "boot", self.group, self.root]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = wait_for("systemd", lambda: children.read_text().split())[0]
        wait_for("the basic target", lambda: self.has_booted())

    def has_booted(self):
        assert self.process.poll() is None, "systemd has ended:\n" + (self.folder / "console").read_text()[-2000:]
        state = self.inside("systemctl", "is-active", "basic.target", check=False)
        return state.stdout.strip() == "active"

    def inside(self, *command, check=True):
        enter = ["nsenter", "--target", self.pid, "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd"]
        return run(*enter, *command, check=check)

    def systemctl(self, *words):
        done = self.inside("systemctl", *words, check=False)
        if done.returncode:
            journal = self.inside("journalctl", "--lines=50", "--output=short-monotonic", check=False)
            raise AssertionError(f"systemctl {words}: {done.stderr}\n{journal.stdout}")
        return done.stdout.strip()

    def show(self, unit, name):
        return self.systemctl("show", "--value", "--property", name, unit)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            wait_for("the end of its processes", lambda: not self.populated())
            for group in sorted(self.group.rglob("*/"), reverse=True):
                group.rmdir()
            self.group.rmdir()

    def populated(self):
        return "populated 1" in (self.group / "cgroup.events").read_text()


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


def push(number, patience_s=PATIENCE_S):
    """The status of a numbered push; nothing where nobody listens or the connection breaks."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=patience_s)
    try:
        connection.request("POST", "/metrics/job/x", f"a_b {number}\n")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def installed_without_systemd(machine, deb):
    """The package alone makes what the service needs, also where nothing but dpkg is there to do it."""
    shutil.copy(deb, machine.root / "root/pushline.deb")
    machine.chroot("dpkg", "--force-depends", "--install", "/root/pushline.deb")
    logs = machine.root / "var/log/pushline"
    if run("chroot", machine.root, "pushline", "--version", check=False).returncode:
        print("the binary does not run in this root: it needs a newer C library, or it is for another machine")
        sys.exit(77)
    owner = machine.chroot("stat", "--format=%U:%G %a", "/var/log/pushline").stdout.strip()
    assert owner == "pushline:pushline 750", owner
    assert not any(logs.iterdir())
    print("package: installed without systemd; its user and its log folder are there")


def service(machine):
    """The unit that the package installs: ready, reloaded, restarted, ended."""
    assert not (machine.root / "usr/bin/kill").exists(), "with procps this does not try what it should"
    machine.systemctl("start", "pushline")
    assert push(1) == 200
    pid = machine.show("pushline", "MainPID")
    machine.systemctl("reload", "pushline")
    assert machine.show("pushline", "MainPID") == pid
    log = lambda: machine.inside("journalctl", "--unit=pushline", "--output=cat", check=False).stdout
    wait_for("the reload", lambda: "configuration and credentials read again" in log())
    machine.systemctl("restart", "pushline")
    assert push(2) == 200
    assert machine.show("pushline", "NRestarts") == "0"
    written = machine.read("/var/log/pushline/metrics.lines")
    assert re.findall(r"^a,job=x b=(\d+) ", written, re.MULTILINE) == ["1", "2"], written
    machine.inside("sh", "-c", "echo nonsense >>/etc/pushline/pushline.toml")
    assert machine.inside("systemctl", "restart", "pushline", check=False).returncode
    wait_for("its end", lambda: machine.show("pushline", "SubState") == "failed")
    assert machine.show("pushline", "ExecMainStatus") == "2", "a wrong configuration is tried again"
    print("pushline.service: ready, reloaded without /bin/kill, restarted, not restarted with a wrong configuration")


def pipe(machine, examples):
    """pushline | mosquitto_pub -l as one service: restarts lose no acknowledged push."""
    for name, path in (("pipe.toml", "/etc/pushline/pipe.toml"), ("consumer-mqtt", "/etc/pushline/consumer"),
                       ("pushline-pipe.service", "/etc/systemd/system/pushline-pipe.service")):  # fmt: skip
        machine.write(path, (examples / name).read_text(), 0o755 if name.startswith("consumer") else 0o644)
    machine.write("/etc/broker.conf", BROKER_CONFIG)
    machine.write("/root/received", "")
    machine.write("/etc/systemd/system/broker.service", BROKER)
    machine.write("/etc/systemd/system/subscriber.service", SUBSCRIBER)
    machine.write("/etc/systemd/system/pushline-pipe.service.d/often.conf", OFTEN)
    machine.systemctl("daemon-reload")
    # Without a broker the consumer ends at once, again and again; systemd goes on trying.
    machine.inside("systemctl", "start", "--no-block", "pushline-pipe")
    wait_for("many restarts", lambda: int(machine.show("pushline-pipe", "NRestarts")) > 10)
    received = lambda: machine.read("/root/received")
    to_topic = ("mosquitto_pub", "-h", "127.0.0.1", "-q", "1", "-t", "metrics", "-m")
    publish = lambda text: machine.inside(*to_topic, text, check=False)
    machine.systemctl("start", "broker", "subscriber")
    wait_for("the subscriber", lambda: publish("begin").returncode == 0 and "begin" in received())
    wait_for("a push", lambda: push(0, 1) == 200)

    answered, stop = set(), threading.Event()

    def push_all(first):
        for number in range(first, 1 << 30, PUSHERS):
            if stop.is_set():
                return
            if push(number) == 200:
                answered.add(number)

    with concurrent.futures.ThreadPoolExecutor(PUSHERS) as pool:
        pushers = [pool.submit(push_all, number) for number in range(1, PUSHERS + 1)]
        try:
            for number in range(RESTARTS):
                if number == RESTARTS // 2:
                    machine.write("/etc/pushline/consumer", SLOW_CONSUMER, 0o755)
                count = len(answered)
                wait_for("more pushes", lambda: len(answered) > count + 200)
                machine.systemctl("restart", "pushline-pipe")
            count = len(answered)
            wait_for("more pushes", lambda: len(answered) > count + 200)
        finally:
            stop.set()
        for pusher in pushers:
            pusher.result()
    machine.systemctl("stop", "pushline-pipe")
    assert machine.show("pushline-pipe", "Result") == "success"
    assert machine.show("pushline", "ActiveState") != "active", "both run"
    # Messages come in order: what has not come before this one does not come.
    publish("end")
    wait_for("the last message", lambda: "end" in received())
    found = re.findall(r"^a,job=x b=(\d+) ", received(), re.MULTILINE)
    lost = answered - set(map(int, found))
    assert not lost, f"{len(lost)} of {len(answered)} acknowledged pushes are lost"
    print(f"pushline-pipe.service: {RESTARTS} restarts, {len(answered)} acknowledged pushes, none lost")


def main(root, deb, examples):
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run("mount", "-t", "tmpfs", "tmpfs", folder)
        stack.callback(run, "umount", "--lazy", folder, check=False)
        machine = Machine(root, folder)
        stack.callback(machine.end)
        installed_without_systemd(machine, deb)
        machine.boot()
        service(machine)
        pipe(machine, pathlib.Path(examples))
    print("3 passed, 0 failed")


if __name__ == "__main__":
    if "--inside" not in sys.argv:
        # Mounts and a loopback network of our own, which end with us.
        own = ["unshare", "--mount", "--net", "--kill-child", "--fork", sys.executable, *sys.argv, "--inside"]
        sys.exit(subprocess.call(own))
    main(*sys.argv[1:4])
