"""Lets a real client push to a real pushline and compares the lines with those of the same registry pushed as
text by curl: run.py python|node|go|rust"""

import os
import pathlib
import re
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
CLIENTS = {
    "python": ([sys.executable, str(ROOT / "tests/clients/python_push.py")],
               ["push", "add", "gzip", "snappy", "openmetrics"], True),
    "node": (["node", str(TARGET / "clients/node/push.js")], ["push", "add", "gzip", "openmetrics"], True),
    "go": ([str(TARGET / "clients/go/push")], ["push", "add", "push_text"], True),
    "rust": ([str(TARGET / "clients/rust/debug/pushline-client-test")], ["push", "add"], False),
}
# These push protobuf, in which their histograms have no +Inf bucket; only their text writers make one up. What was
# not sent is not written (SPEC 2.2), so that line is not expected of them.
PROTOBUF = {("go", "push"), ("go", "add"), ("rust", "push"), ("rust", "add")}
PATH = "/metrics/job/clients/lang/x"


class Pushline:
    """A process of our own; what it writes is taken push by push, behind a marker."""

    def __enter__(self):
        environment = dict(os.environ, PUSHLINE_SERVER_LISTEN="127.0.0.1:0")
        self.process = subprocess.Popen([TARGET / "debug/pushline"], env=environment, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, encoding="utf-8")
        for line in self.process.stderr:
            if found := re.search(r"msg=listening address=(\S+)", line):
                self.base = f"http://{found[1]}"
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def curl(self, path, body):
        """Pushes text."""
        done = subprocess.run(["curl", "-sS", "--fail-with-body", "--data-binary", "@-", self.base + path], input=body,
                              capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def lines(self):
        """Everything written since the last call."""
        self.curl("/metrics/job/marker", b"marker 1 1\n")
        lines = []
        for line in self.process.stdout:
            if line.startswith("marker,"):
                return lines
            lines.append(line.rstrip("\n"))
        raise AssertionError("pushline ended")


def fields(lines):
    """Lines as single fields without their time: whether _sum and _count share a line does not matter."""
    found = []
    for line in lines:
        head, values, _ = re.split(r"(?<!\\) ", line)
        found += [f"{head} {value}" for value in re.split(r"(?<!\\),", values)]
    return sorted(found)


def read_back(lines):
    """Reads each line with an independent parser; returns how many."""
    from line_protocol_parser import parse_line

    for line in lines:
        parsed = parse_line(line)
        assert parsed["fields"] and parsed["tags"]["job"] == "clients" and parsed["time"] > 0, line
        assert all(isinstance(value, float) for value in parsed["fields"].values()), line
    return len(lines)


# The recipe of the page in this language is a whole program, and runs as it is.
RECIPES = {"python": [sys.executable, "-c"], "node": ["node", "-e"]}


def run_recipe(language, pushline):
    page = (ROOT / "scripts/examples/clients.md").read_text()
    mark = {"python": "python", "node": "js"}[language]
    recipe = re.search(rf"^```{mark} .*?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]
    recipe = recipe.replace("127.0.0.1:9091", pushline.base.removeprefix("http://"))
    # A module is looked for where the other programs of the language find theirs.
    folder = TARGET / "clients/node" if language == "node" else None
    subprocess.run([*RECIPES[language], recipe], check=True, cwd=folder)
    want = "backup,instance=db1,job=backup duration_seconds=42.5"
    assert [line.rsplit(" ", 1)[0] for line in pushline.lines()] == [want], f"the recipe of {language}"
    print(f"{language} recipe of the page: {want}")


def main():
    language = sys.argv[1]
    command, modes, can_delete = CLIENTS[language]
    with Pushline() as pushline:
        text = subprocess.run([*command, pushline.base, "text"], check=True, capture_output=True).stdout
        pushline.curl(PATH, text)
        lines = pushline.lines()
        everything = fields(lines)
        assert len(everything) >= 10, everything
        if language == "python":
            print(f"{read_back(lines)} lines read back with an independent parser")
        for mode in modes:
            subprocess.run([*command, pushline.base, mode], check=True)
            got = fields(pushline.lines())
            want = everything
            if (language, mode) in PROTOBUF:
                want = [field for field in everything if ",le=+Inf," not in field]
            missing, extra = sorted(set(want) - set(got)), sorted(set(got) - set(want))
            assert got == want, f"{language} {mode}:\n missing {missing}\n extra {extra}"
            print(f"{language} {mode}: {len(got)} fields, the same as text by curl")
        if language in RECIPES:
            run_recipe(language, pushline)
        if can_delete:
            subprocess.run([*command, pushline.base, "delete"], check=True)
            assert pushline.lines() == [], "a delete must write nothing"
            print(f"{language} delete: nothing written")
    print(f"{len(modes) + can_delete} passed, 0 failed")


main()
