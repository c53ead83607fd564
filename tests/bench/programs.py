"""The programs that are measured and that measure: built here, or Debian's packages."""

import os
import pathlib
import platform
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/bench"
# As scripts/cross names it, and the compiler in the names of its targets.
MACHINE = platform.machine().replace("armv7l", "armv7")
# For writing only: pushline takes a /dev/null for both for a standard output that is closed.
NOWHERE = open(os.devnull, "wb")
QUIET = {"stdin": subprocess.DEVNULL, "stdout": NOWHERE, "stderr": subprocess.DEVNULL}


class Built:
    """Paths of what was built; the server only when a part asks for it."""

    def __init__(self, tool, pushline, old, old_tool):
        self.tool = tool
        # What pushline and the tool are compared with (--against, --against-tool), where it is named.
        self.old, self.old_tool = old, old_tool
        self._pushline = pushline
        self._direct = None
        self._described = {}

    @property
    def pushline(self):
        """The static binary: what is shipped is what is measured."""
        if self._pushline is None:
            said = subprocess.run(
                [ROOT / "scripts/build-static"], check=True, capture_output=True, text=True
            ).stdout
            self._pushline = ROOT / said.splitlines()[-1].split(" is static")[0]
        return self._pushline

    @property
    def direct(self):
        """The static binary of the same source with a plain channel in the place of tiny_http."""
        if self._direct is None:
            target = ROOT / "target/without-tiny-http"
            build_static(target, ["--bin", "pushline"], flags="--cfg pushline_without_tiny_http")
            self._direct = next(target.glob(f"{MACHINE}-*/release/pushline"))
        return self._direct

    def without_tls(self):
        """The static binary without the feature `tls`."""
        target = HERE / "target/without-tls"
        build_static(target, ["--locked", "--no-default-features"])
        return next(target.glob(f"{MACHINE}-*/release/pushline"))

    def describe(self, body, notation="text"):
        """How large a body is: `body_bytes`, `samples`, `lines`, `lines_bytes`."""
        if (body, notation) not in self._described:
            self._described[body, notation] = self.figures("describe", notation, body)
        return self._described[body, notation]

    def figures(self, *arguments, tool="bench", environment=()):
        """Runs a tool; its `name value` lines as a dictionary."""
        run = subprocess.run(
            [self.tool.with_name(tool), *map(str, arguments)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, **dict(environment)),
        )
        pairs = (line.split() for line in run.stdout.splitlines())
        return {name: float(value) for name, value in pairs}


def build(pushline=None, old=None, old_tool=None):
    target = HERE / "target"
    build_static(target, ["--manifest-path", HERE / "Cargo.toml"])
    tool = next(target.glob(f"{MACHINE}-*/release/bench"))
    return Built(tool, pushline, old, old_tool)


def build_static(target, options, flags=""):
    """Builds for this machine as scripts/build-static does, with the caller's own flags too."""
    flags = f"{os.environ.get('RUSTFLAGS', '')} {flags}"
    command = ["cargo", "build", "--release", "--quiet", "--target-dir", target, *options]
    subprocess.run(
        [ROOT / "scripts/cross", MACHINE, *command],
        check=True,
        env=dict(os.environ, RUSTFLAGS=flags),
    )


def is_there(program):
    """Whether the program can be run. Nothing is installed here: scripts/unpack brings what is missing."""
    return shutil.which(program) is not None


def machine():
    """What it ran on, as far as that explains figures."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores of {model}"
