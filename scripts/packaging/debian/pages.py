"""Writes the pages that the package installs, with links that hold where they are installed: pages.py FOLDER.

An asset of Cargo.toml at target/release/pages/PATH is the page PATH of this tree. A link to a file that is installed
leads to its place there; of any other the text stays, without the link, and a picture goes."""

import os
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILT = "target/release/pages/"
# What the package has besides the assets.
OTHERS = {"LICENSE": "usr/share/doc/pushline/copyright"}


def places(assets):
    """Path in this tree → path on the host, of each file that is installed."""
    found = dict(OTHERS)
    for source, destination, _ in assets:
        source = source.removeprefix(BUILT)
        destination += pathlib.Path(source).name if destination.endswith("/") else ""
        found[source] = destination + (".gz" if destination.startswith("usr/share/man/") else "")
    return found


def installed_text(page, installed):
    """A page as it is installed."""

    def link(found):
        mark, text, target = found.groups()
        path, anchor = (target + "#").split("#")[:2]
        if not path or "://" in target:
            return found[0]
        path = os.path.normpath(pathlib.Path(page).parent / path)
        if path not in installed:
            return "" if mark else text
        place = os.path.relpath(installed[path], pathlib.Path(installed[page]).parent)
        return f"{mark}[{text}]({place}{'#' + anchor if anchor else ''})"

    text = re.sub(r"(!?)\[([^][]*)\]\(([^()\s]*)\)", link, (ROOT / page).read_text())
    # A picture was a paragraph of its own.
    return text.replace("\n\n\n\n", "\n\n")


def main(folder):
    assets = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["metadata"]["deb"]["assets"]
    installed = places(assets)
    for source, _, _ in assets:
        if source.startswith(BUILT):
            page = source.removeprefix(BUILT)
            target = pathlib.Path(folder) / page
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(installed_text(page, installed))


if __name__ == "__main__":
    main(*sys.argv[1:])
