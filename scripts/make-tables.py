#!/usr/bin/env python3
"""Makes examples/data/{breast_cancer,diabetes}.csv from the wheel of scikit-learn 1.9.1.

Needs python3 with pip, nothing else; scikit-learn itself is not installed. Numbers are kept as the wheel spells them,
a header line is added, and the rows are shuffled with a fixed seed (the tables are ordered in part, and a validation
split takes the last rows). breast_cancer: the last column is 1 for malignant. diabetes: raw, unscaled features.
"""

import gzip
import tempfile
import zipfile

from common import fetch, shuffle, write

SEED = 20150607
MEASURES = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave_points",
            "symmetry", "fractal_dimension"]
FOLDER = "sklearn/datasets/data"


def csv(header, rows):
    """A CSV file; every row must be as long as its header."""
    assert all(len(row) == len(header) for row in rows), "a row is ragged"
    return "".join(",".join(row) + "\n" for row in [header, *rows]).encode()


def breast_cancer(wheel):
    """569 cases with 30 features each."""
    first, *lines = wheel.read(f"{FOLDER}/breast_cancer.csv").decode().split()
    assert first == "569,30,malignant,benign" and len(lines) == 569
    header = [f"{kind}_{measure}" for kind in ("mean", "error", "worst") for measure in MEASURES] + ["malignant"]
    rows = [line.split(",") for line in lines]
    # In the wheel 0 is malignant; a column named `malignant` has 1 there.
    rows = [[*features, str(1 - int(target))] for *features, target in rows]
    return csv(header, shuffle(rows, SEED))


def diabetes(wheel):
    """442 patients with 10 features and the progression of the disease after a year."""
    raw = gzip.decompress(wheel.read(f"{FOLDER}/diabetes_data_raw.csv.gz")).decode().splitlines()
    target = gzip.decompress(wheel.read(f"{FOLDER}/diabetes_target.csv.gz")).decode().split()
    assert len(raw) == len(target) == 442
    header = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6", "progression"]
    rows = [[*line.split(), f"{float(value):g}"] for line, value in zip(raw, target)]
    return csv(header, shuffle(rows, SEED))


def main():
    with tempfile.TemporaryDirectory() as folder:
        command = ["python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                   "scikit-learn==1.9.1"]
        with zipfile.ZipFile(fetch(command, folder, "scikit_learn-*.whl")) as wheel:
            write("breast_cancer.csv", breast_cancer(wheel))
            write("diabetes.csv", diabetes(wheel))


if __name__ == "__main__":
    main()
