"""Makes the Debian package that [package.metadata.deb] of Cargo.toml describes, with dpkg-deb alone:
assemble.py BUILT FOLDER ARCHITECTURE, where BUILT is the folder that takes the place of target/release. Knows only the
keys that are in Cargo.toml, and refuses any other."""

import gzip
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[3]
KNOWN = {
    "maintainer", "section", "priority", "depends", "recommends", "suggests", "license-file",
    "extended-description", "changelog", "maintainer-scripts", "conf-files", "assets",
}  # fmt: skip
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")


def stage(source, destination, mode, root):
    """Copies one asset; a destination that ends in a slash keeps the file's name. Manual pages are packed."""
    target = root / destination / pathlib.Path(source).name if destination.endswith("/") else root / destination
    target.parent.mkdir(parents=True, exist_ok=True)
    if destination.startswith("usr/share/man/"):
        target = pack(source, target)
    else:
        shutil.copyfile(source, target)
    target.chmod(int(mode, 8))


def pack(source, target):
    """As gzip -9n does: without a name and a time, so that the package is the same each time."""
    packed = target.with_name(target.name + ".gz")
    packed.write_bytes(gzip.compress(pathlib.Path(source).read_bytes(), 9, mtime=0))
    return packed


def copyright_text(package, notice):
    lines = "".join(f" {line}\n" if line else " .\n" for line in notice.splitlines())
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        f"Upstream-Name: {package['name']}\n\nFiles: *\nCopyright: 2026 The pushline authors\n"
        f"License: {package['license']}\n{lines}"
    )


def control_text(package, deb, architecture, size_bytes):
    fields = {
        "Package": package["name"],
        "Version": f"{package['version']}-1",
        "Architecture": architecture,
        "Section": deb["section"],
        "Priority": deb["priority"],
        "Maintainer": deb["maintainer"],
        "Installed-Size": -(-size_bytes // 1024),
        "Depends": deb["depends"],
        "Recommends": deb["recommends"],
        "Suggests": deb["suggests"],
        "Description": package["description"],
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value != "")
    return head + "".join(f" {line or '.'}\n" for line in deb["extended-description"].splitlines())


def assemble(built, root, architecture):
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    deb = package["metadata"]["deb"]
    unknown = set(deb) - KNOWN
    if unknown:
        sys.exit(f"Cargo.toml: package.metadata.deb.{min(unknown)} is not known to {__file__}")
    for source, destination, mode in deb["assets"]:
        is_built = source.startswith("target/release/")
        stage(built / source.removeprefix("target/release/") if is_built else ROOT / source, destination, mode, root)
    notice = root / "usr/share/doc/pushline/copyright"
    notice.write_text(copyright_text(package, (ROOT / deb["license-file"][0]).read_text()))
    notice.chmod(0o644)
    pack(ROOT / deb["changelog"], root / "usr/share/doc/pushline/changelog.Debian").chmod(0o644)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    control = root / "DEBIAN"
    control.mkdir()
    size = sum(path.stat().st_size for path in files)
    (control / "control").write_text(control_text(package, deb, architecture, size))
    (control / "conffiles").write_text("".join(f"{path}\n" for path in deb["conf-files"]))
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files]
    (control / "md5sums").write_text("".join(sums))
    for name in SCRIPTS:
        script = ROOT / deb["maintainer-scripts"] / name
        if script.exists():
            stage(script, f"DEBIAN/{name}", "755", root)
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    return f"{package['name']}_{package['version']}-1_{architecture}.deb"


def main(built, folder, architecture):
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "root"
        root.mkdir()
        name = assemble(pathlib.Path(built), root, architecture)
        target = pathlib.Path(folder) / name
        subprocess.check_call(["dpkg-deb", "--root-owner-group", "--build", root, target], stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main(*sys.argv[1:])
