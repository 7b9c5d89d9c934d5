"""Helpers of the data scripts: fetching packages by name, and files with the same bytes on every machine."""

import pathlib
import struct
import subprocess
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "examples" / "data"


def fetch(command, folder, pattern):
    """Runs a package client in `folder` and returns the one file that matches `pattern` there."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = list(pathlib.Path(folder).glob(pattern))
    if len(found) != 1:
        sys.exit(f"{' '.join(command)} left {len(found)} files {pattern}, not one")
    return found[0]


def gzip_bytes(data):
    """A gzip member without time, name or operating system, so that equal content gives equal bytes."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    body = deflate.compress(data) + deflate.flush()
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return header + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def shuffle(items, seed):
    """Fisher-Yates with SplitMix64: the same order in every version of Python."""
    mask = (1 << 64) - 1
    state = seed

    def draw():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)

    items = list(items)
    for i in range(len(items) - 1, 0, -1):
        j = (draw() * (i + 1)) >> 64
        items[i], items[j] = items[j], items[i]
    return items


def write(name, data):
    """Writes one file of examples/data and reports it."""
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / name).write_bytes(data)
    print(f"examples/data/{name}: {len(data):,} bytes")
