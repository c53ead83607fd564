"""Tries what ships around the binary, as far as a machine without systemd, Docker or a cluster can:
check.py units|s6|image|manifests|package DEB|manual DEB"""

import collections
import concurrent.futures
import gzip
import hashlib
import http.client
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "scripts/packaging"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
PUSHLINE = TARGET / "debug/pushline"
PATIENCE_S = 60
# Of `systemd-analyze security`, in tenths: 0 is a service that may do nothing, 100 one that may do everything.
EXPOSURE_MAX = 20


def output(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def check_configuration(toml, pushline=PUSHLINE):
    """Has pushline itself read it, with nothing from the environment; returns the effective one."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "pushline.toml")
        # The check looks for the folder of a file output, which only an installed package has.
        path.write_text(toml.replace("/var/log/pushline", folder))
        output(pushline, "--check", "--config", path, env={})
        path.write_text(toml)
        return tomllib.loads(output(pushline, "--print-config", "--config", path, env={}))


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def size(text):
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)B?", text).groups()
    return int(number) * {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}[unit]


def unit(name):
    """Section and key → all its values."""
    found, section = collections.defaultdict(list), None
    for line in (PACKAGING / "systemd" / name).read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[section, key].append(value)
    return found


def units():
    service, listening = unit("pushline.service"), unit("pushline.socket")
    config = check_configuration((PACKAGING / "debian/pushline.toml").read_text())
    (reload,) = service["Service", "ExecReload"]
    assert reload.split()[0] == "/bin/sh", "only the shell is on every host"
    (command,) = service["Service", "ExecStart"]
    assert command == "/usr/bin/pushline --config /etc/pushline/pushline.toml", command
    assert listening["Socket", "ListenStream"] == config["server"]["listen"], "the socket unit listens elsewhere"
    (logs,) = service["Service", "LogsDirectory"]
    assert config["output"]["target"].startswith(f"file:/var/log/{logs}/"), "the output is not writable"
    stop_s = seconds(service["Service", "TimeoutStopSec"][0])
    assert stop_s > seconds(config["output"]["drain_timeout"]) + 2, "killed before it is drained"
    (user,) = service["Service", "User"]
    assert (PACKAGING / "debian/pushline.sysusers").read_text().startswith(f"u {user} "), "nobody makes the user"
    connections = config["server"]["max_connections"]
    assert min(int(service["Service", key][0]) for key in ("LimitNOFILE", "TasksMax")) > 2 * connections
    with tempfile.TemporaryDirectory() as folder:
        # The program has to exist; everything else is checked as it is shipped.
        copies = []
        for source in (*sorted((PACKAGING / "systemd").iterdir()), ROOT / "scripts/examples/pushline-pipe.service"):
            copies.append(pathlib.Path(folder) / source.name)
            copies[-1].write_text(source.read_text().replace("/usr/bin/pushline", str(PUSHLINE)))
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *copies], check=True, capture_output=True, text=True
        )
        complaints = [line for line in verified.stderr.splitlines() if "pushline" in line]
        assert not complaints, complaints
        security = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}"]
        for service in (path for path in copies if path.suffix == ".service"):
            report = output(*security, service)
            print(report.strip().splitlines()[-1].encode("ascii", "ignore").decode().strip())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def s6():
    """pushline and its consumer under a real s6-supervise: ready by its check, restarted, ended, and nothing lost."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        service, config, consumer, lines = (folder / name for name in ("pushline", "pipe.toml", "consumer", "lines"))
        config.write_text((ROOT / "scripts/examples/pipe.toml").read_text().replace(":9091", f":{port}"))
        # Holds everything until its end, so that it is still at work when pushline has ended.
        consumer.write_text(f"#!/bin/sh\ntac >>{lines}\n")
        consumer.chmod(0o755)
        source = ROOT / "scripts/examples/s6/pushline"
        for path in source.rglob("*"):
            if path.is_file():
                text = path.read_text().replace("127.0.0.1:9091", f"127.0.0.1:{port}")
                text = text.replace("/etc/pushline", str(folder)).replace(" pushline --", f" {PUSHLINE} --")
                copy = service / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(text)
                copy.chmod(path.stat().st_mode)
        with subprocess.Popen(["s6-supervise", service]) as supervisor:
            try:
                while not (service / "supervise/control").exists():
                    assert supervisor.poll() is None, "s6-supervise has ended"
                    time.sleep(0.01)
                output("s6-svwait", "-U", "-t", str(PATIENCE_S * 1000), service)
                assert push(port, b"a_b 1\n") == 200
                output("s6-svc", "-wR", "-r", "-T", str(PATIENCE_S * 1000), service)
                assert push(port, b"a_b 2\n") == 200
            finally:
                output("s6-svc", "-d", "-x", service)
            assert supervisor.wait(PATIENCE_S) == 0
        written = re.findall(r"^a,job=x b=(\d) ", lines.read_text(), re.MULTILINE)
        assert written == ["1", "2"], written
    print("s6: ready by its check, pushed, restarted, ended in order")


def push(port, body, path="/metrics/job/x"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", path, body)
    return connection.getresponse().status


def instructions():
    """Instruction → its arguments, of the Dockerfile."""
    found = collections.defaultdict(list)
    for line in (PACKAGING / "docker/Dockerfile").read_text().splitlines():
        if line and not line.startswith("#"):
            name, arguments = line.split(" ", 1)
            found[name].append(arguments)
    return dict(found)


def image():
    found = instructions()
    # No ENV: a variable of the image would win over a configuration that is mounted.
    assert set(found) == {"FROM", "ARG", "COPY", "EXPOSE", "USER", "STOPSIGNAL", "ENTRYPOINT", "CMD"}, set(found)
    assert found["FROM"] == ["scratch"]
    (binary, program), (source, config_file) = (line.split() for line in found["COPY"])
    assert found["ENTRYPOINT"] == [f'["{program}"]'] and found["CMD"] == [f'["--config", "{config_file}"]']
    builds = (ROOT / "scripts/build-static").read_text()
    for architecture, variant in (("amd64", ""), ("arm64", ""), ("arm", "v7")):
        name = binary.replace("${TARGETARCH}", architecture).replace("${TARGETVARIANT}", variant)
        assert f"name={name.removeprefix('pushline-')} " in builds, f"nobody builds {name}"
    config = check_configuration((PACKAGING / "docker" / source).read_text())
    (listen,) = config["server"]["listen"]
    assert listen.startswith("0.0.0.0:")
    assert found["EXPOSE"] == [listen.rsplit(":", 1)[1]]
    assert all(int(number) > 0 for number in found["USER"][0].split(":")), "root"
    print("image: a static binary, a configuration that a mounted one replaces, not root, the port that it listens on")


def conform(value, kind, place):
    """Holds a value against the models of the Kubernetes client, which are made from its OpenAPI schema."""
    from kubernetes.client import models

    inner = re.fullmatch(r"(?:List\[|Dict\[str, )(.*)\]", kind)
    if inner:
        assert isinstance(value, list if kind.startswith("List") else dict), f"{place} is no {kind}"
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        for key, part in pairs:
            conform(part, inner[1], f"{place}.{key}")
        return
    model = getattr(models, kind, None)
    if model is None:
        known = {"str": str, "int": int, "bool": bool, "object": (str, int)}
        assert isinstance(value, known[kind]) and (kind == "bool" or not isinstance(value, bool)), f"{place}: {value!r}"
        return
    attributes = {json: name for name, json in model.attribute_map.items()}
    unknown = set(value) - set(attributes)
    assert not unknown, f"{place} has no {unknown}"
    for key, part in value.items():
        conform(part, model.openapi_types[attributes[key]], f"{place}.{key}")
    # What is required is known to its constructor.
    model(**{attributes[key]: part for key, part in value.items()})


def manifests():
    import yaml

    found = {}
    for file in ("pushline.yaml", "client.yaml"):
        for document in yaml.safe_load_all((PACKAGING / "kubernetes" / file).read_text()):
            kind = document["kind"]
            conform(document, f"V1{kind}", f"{file}: {kind}")
            found[kind, document["metadata"]["name"]] = document
    collector, client = found["Deployment", "pushline"], found["Deployment", "pushgateway-client"]
    for deployment in (collector, client):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels, "the deployment does not select its pods"
    service = found["Service", "pushline-service"]
    pod = collector["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items(), "the service selects nothing"
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert instructions()["USER"] == ["{runAsUser}:{runAsGroup}".format(**pod["spec"]["securityContext"])]
    toml = found["ConfigMap", pod["spec"]["volumes"][0]["configMap"]["name"]]["data"]["pushline.toml"]
    config = check_configuration(toml)
    assert config["server"]["listen"] == [f"0.0.0.0:{port['containerPort']}"]
    assert container["args"][1] == container["volumeMounts"][0]["mountPath"] + "/pushline.toml"
    grace_s = pod["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > seconds(config["output"]["drain_timeout"]) + 2, "killed before it is drained"
    memory_max = size(container["resources"]["limits"]["memory"])
    server, workers = config["server"], config["server"]["workers"]
    a_push = size(server["max_body_bytes"]) + size(server["max_decoded_bytes"]) + size(config["output"]["queue_bytes"])
    # As much as the queue holds may wait for room in it, and a socket keeps what a reconnect sends again.
    waiting = 2 * size(config["output"]["queue_bytes"]) + size("8MiB")
    bounds = size(server["max_buffered_bytes"]) + waiting + workers * a_push
    assert bounds < memory_max, f"{bounds} bytes may be in memory, the limit is {memory_max}"
    environment = {entry["name"]: entry.get("value") for entry in client["spec"]["template"]["spec"]["containers"][0]["env"]}
    endpoint = re.fullmatch(r"http://([^.]+)\.([^.]+)\.svc:(\d+)(/.*)", environment["PUSHGATEWAY_ENDPOINT"])
    where = service["metadata"]["name"], service["metadata"]["namespace"], service["spec"]["ports"][0]["port"]
    assert endpoint.groups()[:3] == tuple(map(str, where)), "the client pushes elsewhere"
    run_pod(toml, container, endpoint[4], memory_max)


def run_pod(toml, container, path, memory_max):
    """Runs pushline as the pod would, but on loopback: probes, the client's push, memory under load."""
    port, name = free_port(), "$(MY_POD_NAME)"
    with tempfile.NamedTemporaryFile("w") as file, socket.create_server(("127.0.0.1", 0)) as consumer:
        file.write(toml)
        file.flush()
        environment = {
            "PUSHLINE_SERVER_LISTEN": f"127.0.0.1:{port}",
            "PUSHLINE_OUTPUT_TARGET": "tcp://127.0.0.1:%d" % consumer.getsockname()[1],
        }
        process = subprocess.Popen([PUSHLINE, "--config", file.name], env=environment, stderr=subprocess.PIPE)
        try:
            while b"listening" not in process.stderr.readline():
                assert process.poll() is None, "it did not start"
            for probe in ("readinessProbe", "livenessProbe"):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
                connection.request("GET", container[probe]["httpGet"]["path"])
                assert connection.getresponse().status == 200, probe
            body = b'# TYPE pushgateway_count counter\npushgateway_count{name="client"} 100\n'
            with concurrent.futures.ThreadPoolExecutor(40) as pool:
                first = pool.submit(push, port, body, path)
                lines = consumer.accept()[0]
                line = lines.recv(4096).decode()
                assert first.result() == 200
                assert line.startswith("pushgateway,job=hello,name=client,") and f"pod={name}" in line, line
                threading.Thread(target=drink, args=(lines,), daemon=True).start()
                # As large as the bounds let them be; what is too much is refused, and not held.
                body = b"".join(b"load_a_metric_name %d\n" % number for number in range(100_000))
                statuses = collections.Counter(pool.map(lambda _: push(port, body, path), range(40)))
                assert set(statuses) <= {200, 503} and statuses[200] > 0, statuses
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                peak = 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])
                assert peak < memory_max, f"{peak} bytes at most, the limit is {memory_max}"
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE_S)
            assert process.returncode == 0
        finally:
            process.kill()
    print(f"manifests: probes and the client answered, {dict(statuses)}, {peak >> 20} MiB of {memory_max >> 20} at most")


def drink(lines):
    while lines.recv(1 << 20):
        pass


def package(deb):
    metadata = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    described = metadata["metadata"]["deb"]
    with tempfile.TemporaryDirectory() as folder:
        tree, control = pathlib.Path(folder) / "tree", pathlib.Path(folder) / "control"
        output("dpkg-deb", "--extract", deb, tree)
        output("dpkg-deb", "--control", deb, control)
        check_files(deb, described, tree)
        for script in ("postinst", "prerm", "postrm"):
            assert os.access(control / script, os.X_OK), script
            output("sh", "-n", control / script)
        assert (control / "conffiles").read_text().split() == described["conf-files"]
        # cargo-deb leaves them to dpkg.
        sums = control / "md5sums"
        for line in sums.read_text().splitlines() if sums.exists() else []:
            digest, path = line.split(maxsplit=1)
            assert hashlib.md5((tree / path).read_bytes()).hexdigest() == digest, path
        for field, want in (("Package", metadata["name"]), ("Version", f"{metadata['version']}-1"), ("Depends", "")):
            assert output("dpkg-deb", "--field", deb, field).strip() == want, field
        binary = tree / "usr/bin/pushline"
        assert output(binary, "--version", env={}).split()[1] == metadata["version"]
        headers = output("readelf", "--program-headers", "--dynamic", binary)
        linking = "static" if not re.search("INTERP|NEEDED", headers) else "dynamic"
        check_configuration((tree / "etc/pushline/pushline.toml").read_text(), binary)
        assert "MIT" in (tree / "usr/share/doc/pushline/copyright").read_text()
    print(f"package: {pathlib.Path(deb).stat().st_size} bytes, {linking} binary, files, modes and scripts as described")
    return linking


def check_files(deb, described, tree):
    want = {"usr/share/doc/pushline/copyright": 0o644, "usr/share/doc/pushline/changelog.Debian.gz": 0o644}
    for source, destination, mode in described["assets"]:
        destination += pathlib.Path(source).name if destination.endswith("/") else ""
        is_manual = destination.startswith("usr/share/man/")
        destination += ".gz" if is_manual else ""
        want[destination] = int(mode, 8)
        if not source.startswith("target/"):
            found = (tree / destination).read_bytes()
            found = gzip.decompress(found) if is_manual else found
            assert found == (ROOT / source).read_bytes(), destination
    found = {str(path.relative_to(tree)): path.stat().st_mode & 0o7777 for path in tree.rglob("*") if path.is_file()}
    assert found == want, {key for key in found.keys() | want.keys() if found.get(key) != want.get(key)}
    changes = gzip.decompress((tree / "usr/share/doc/pushline/changelog.Debian.gz").read_bytes()).decode()
    version = output("dpkg-deb", "--field", deb, "Version").strip()
    assert changes.startswith(f"pushline ({version}) "), changes.splitlines()[0]
    owners = {line.split()[1] for line in output("dpkg-deb", "--contents", deb).splitlines()}
    assert owners <= {"root/root", "0/0"}, owners
    for path in described["conf-files"]:
        assert path.removeprefix("/") in found, path
    pages = sorted(tree.rglob("*.md"))
    assert len(pages) == 6, pages
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    for page, link in links:
        assert "://" in link or (page.parent / link).exists(), f"{page.relative_to(tree)}: {link} is not installed"
    assert len(links) > 60, len(links)
    # What the pipe example names is where it says.
    example = (ROOT / "scripts/examples/pushline-pipe.service").read_text()
    named = re.findall(r"/usr/share/doc/pushline/\S+", example)
    assert len(named) == 3, named
    for path in named:
        assert path.removeprefix("/") in found, path


# What lintian says of the debug binary of the tests, which is neither static nor stripped.
OF_A_DEBUG_BINARY = "unstripped-binary-or-object,undeclared-elf-prerequisites"


def manual(deb):
    """The manual pages in two formatters, the completions in their shells, the package in lintian."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        output("dpkg-deb", "--extract", deb, tree)
        pages = sorted(tree.glob("usr/share/man/man*/*.gz"))
        assert len(pages) == 3, pages
        for page in pages:
            for command in (("man", "--warnings", "-E", "UTF-8", "-l"), ("mandoc", "-T", "lint", "-W", "warning")):
                told = subprocess.run([*command, page], capture_output=True, text=True)
                warnings = told.stdout if command[0] == "mandoc" else told.stderr
                assert (told.returncode, warnings) == (0, ""), f"{command[0]} {page.name}: {warnings}"
        check_completions(tree)
        headers = output("readelf", "--program-headers", tree / "usr/bin/pushline")
        suppressed = ["--suppress-tags", OF_A_DEBUG_BINARY] if "INTERP" in headers else []
        told = subprocess.run(["lintian", "--allow-root", *suppressed, deb], capture_output=True, text=True)
        assert (told.returncode, told.stdout + told.stderr) == (0, ""), told.stdout + told.stderr
    print(f"manual: {len(pages)} pages without a warning, completions of three shells, lintian finds nothing")


def check_completions(tree):
    """Each shell offers what follows these words."""
    bash = tree / "usr/share/bash-completion/completions/pushline"
    fish = tree / "usr/share/fish/vendor_completions.d/pushline.fish"
    zsh = tree / "usr/share/zsh/vendor-completions/_pushline"
    for words, want in (
        ("pushline --lis", ["--listen"]),
        ("pushline sp", ["spool"]),
        ("pushline convert --format ", ["openmetrics", "protobuf", "text"]),
        ("pushline spool p", ["print"]),
        ("pushline spool --d", ["--dir"]),
    ):
        script = 'source "$0"; COMP_WORDS=("${@}"); COMP_CWORD=$(($# - 1)); _pushline; printf "%s\\n" "${COMPREPLY[@]}"'
        found = output("bash", "-c", script, bash, *words.split(" ")).split()
        assert sorted(found) == want, f"bash: {words}: {found}"
        found = output("fish", "-c", f"source {fish}; complete -C '{words}'").splitlines()
        assert sorted(line.split("\t")[0] for line in found) == want, f"fish: {words}: {found}"
    output("zsh", "-n", zsh)


if __name__ == "__main__":
    checks = {"units": units, "s6": s6, "image": image, "manifests": manifests, "package": package, "manual": manual}
    checks[sys.argv[1]](*sys.argv[2:])
