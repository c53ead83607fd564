"""Proves by its ELF header that a program is static: elf.py FILE. A static program asks for no interpreter
(PT_INTERP) and names no library (DT_NEEDED of PT_DYNAMIC)."""

import pathlib
import struct
import sys

MACHINES = {3: "i386", 40: "ARM", 62: "x86-64", 183: "AArch64"}
PT_DYNAMIC, PT_INTERP = 2, 3
DT_NULL, DT_NEEDED = 0, 1


def read(file):
    """(machine, whether it asks for an interpreter, how many libraries it names)."""
    data = pathlib.Path(file).read_bytes()
    if data[:4] != b"\x7fELF":
        sys.exit(f"{file} is no ELF file")
    order = "<" if data[5] == 1 else ">"
    # Where the two word sizes differ: the place of the program headers in the file header, and of offset and size
    # in a program header.
    wide = data[4] == 2
    (machine,) = struct.unpack_from(order + "H", data, 18)
    (start,) = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    has_interpreter, libraries = False, 0
    for at in range(start, start + size * count, size):
        (kind,) = struct.unpack_from(order + "I", data, at)
        has_interpreter |= kind == PT_INTERP
        if kind == PT_DYNAMIC:
            (offset,) = struct.unpack_from(order + ("Q" if wide else "I"), data, at + (8 if wide else 4))
            (length,) = struct.unpack_from(order + ("Q" if wide else "I"), data, at + (32 if wide else 16))
            entry = order + ("qQ" if wide else "iI")
            for tag, _ in struct.iter_unpack(entry, data[offset : offset + length]):
                if tag == DT_NULL:
                    break
                libraries += tag == DT_NEEDED
    return MACHINES.get(machine, f"machine {machine}"), has_interpreter, libraries


def main(file):
    machine, has_interpreter, libraries = read(file)
    if has_interpreter or libraries:
        sys.exit(f"{file} is not static: interpreter {has_interpreter}, libraries {libraries}")
    size = pathlib.Path(file).stat().st_size
    print(f"{file} is static ({machine}): no interpreter, no library; {size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
