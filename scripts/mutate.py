#!/usr/bin/env python3
"""Plants defects in dlc, one at a time, and says which tests notice.

    scripts/mutate.py --check             every old text occurs exactly once (fast: run it after changes)
    scripts/mutate.py                     all of them: hours
    scripts/mutate.py --only NAME ...     some of them
    scripts/mutate.py --quick             by their own tests only; what these do not notice stays open for a run without
    scripts/mutate.py --minutes 60        those that are begun within an hour, in a random order: a fair sample

The defects are data, in `mutations.py`. Each is planted in a git worktree of the last commit, with a target folder of its own, so
that the tree that one works in is neither changed nor built. There it is built and tested, from the most specific test to the
widest, until one fails, and taken out again. A defect whose tests do not end within `--limit` seconds is noticed too: a program
that hangs is seen. One that does not compile is an error of this script and counts for nothing.

A folder named by `--folder` is kept, and the next run builds faster in it. Results are appended to `--results` as lines of JSON;
what stands there is not run again. At the end stands the table of all results and the share that was noticed. The exit status is 1 if
something survived or did not compile. Needs Python 3.9 and nothing else.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from mutations import MUTATIONS  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOM = {"compiler/ir/": "-p dlc-ir", "compiler/": "-p dlc-compiler", "dsl/": "-p dlc-dsl"}
# What all crates together are tested by, where their own tests notice nothing.
WIDEST = [f"-p dlc --test {name}" for name in ["reference", "prepare", "step", "golden", "measures", "draws"]]


def git(*args, cwd=ROOT):
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def commands(file, tests):
    """The tests of a defect, each once, those of its crate behind those that it names, all together last."""
    own = next(package for room, package in ROOM.items() if file.startswith(room))
    further = ["-p dlc-compiler"] if own == "-p dlc-ir" else []
    return list(dict.fromkeys([*tests, own, *further, *WIDEST]))


def check():
    """What is wrong with the list."""
    wrong = [f"two are named {name}" for name in {m[0] for m in MUTATIONS} if sum(m[0] == name for m in MUTATIONS) > 1]
    for name, file, old, new, tests in MUTATIONS:
        path = ROOT / file
        found = path.read_text().count(old) if path.is_file() else None
        if found is None:
            wrong.append(f"{name}: there is no {file}")
        elif found != 1:
            wrong.append(f"{name}: {found} times in {file}, not once: {old}")
        elif old == new:
            wrong.append(f"{name}: changes nothing")
    return wrong


def run(arguments, folder, limit):
    """Exit status, or none past the limit, and output. Whatever it started ends with it."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(folder / "target"), INSTA_UPDATE="no", RUST_BACKTRACE="0")
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        return status, output.read()


def failures(output):
    """The names of the tests that failed, else what the run says of its end."""
    names = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", output, re.M)
    names += re.findall(r"^---- (\S+) stdout ----", output, re.M)
    ended = re.findall(r"\(signal: \d+, [^)]*\)", output)
    return list(dict.fromkeys(names)) or ended[:1] or ["exit status"]


def noticed(folder, command, limit, build_limit):
    """What a command notices: nothing, the failing tests, or that it does not compile."""
    test = ["cargo", "test", "-q", *command.split()]
    built = False
    try:
        status, output = run([*test, "--no-run"], folder, build_limit)
        built = status is not None
    finally:
        if not built:
            # A compiler that is killed leaves what later ones cannot link.
            shutil.rmtree(folder / "target/debug/incremental", ignore_errors=True)
            (folder / "compiler/ir/src/lib.rs").touch()
    if status != 0:
        errors = [line for line in output.splitlines() if line.startswith("error")]
        return "error", errors[:1] or ["building took too long" if status is None else "cargo failed"]
    status, output = run(test, folder, limit)
    if status == 0:
        return "survived", []
    return "noticed", ["does not end"] if status is None else failures(output)


def plant(folder, mutation, limit, build_limit, quick):
    """Plants one defect, tests, and takes it out."""
    name, file, old, new, tests = mutation
    path = folder / file
    before = path.read_text()
    began = time.time()
    result = {"name": name, "file": file, "verdict": "survived", "by": [], "test": ""}
    try:
        path.write_text(before.replace(old, new))
        for command in tests if quick else commands(file, tests):
            result["verdict"], result["by"] = noticed(folder, command, limit, build_limit)
            result["test"] = command
            if result["verdict"] != "survived":
                break
        if quick and result["verdict"] == "survived":
            result["verdict"] = "open"
    finally:
        path.write_text(before)
        # Tests that fail may leave files: cases of proptest, new snapshots.
        git("checkout", "-q", "--", ".", cwd=folder)
        git("clean", "-fdq", cwd=folder)
    result["seconds"] = round(time.time() - began)
    return result


def worktree(folder):
    """A worktree of the last commit at a folder, which is nothing else."""
    common = lambda cwd: pathlib.Path(cwd, git("rev-parse", "--git-common-dir", cwd=cwd)).resolve()
    if not (folder / ".git").exists():
        git("worktree", "add", "-q", "--detach", str(folder), "HEAD")
    elif folder == ROOT or not (folder / ".git").is_file() or common(folder) != common(ROOT):
        sys.exit(f"{folder} is no further worktree of {ROOT}")
    git("checkout", "-q", "--force", "--detach", git("rev-parse", "HEAD"), cwd=folder)
    git("clean", "-fdq", cwd=folder)


def table(results):
    lines = ["| defect | file | noticed by | test | s |", "| --- | --- | --- | --- | --- |"]
    for r in results:
        by = ", ".join(r["by"][:3])
        by = {"noticed": by, "survived": "**SURVIVED**", "open": "not yet"}.get(r["verdict"], f"ERROR: {by}")
        lines.append(f"| {r['name']} | {r['file']} | {by} | {r['test']} | {r['seconds']} |")
    counted = [r for r in results if r["verdict"] in ("noticed", "survived")]
    caught = sum(r["verdict"] == "noticed" for r in counted)
    share = f" ({100 * caught / len(counted):.0f} %)" if counted else ""
    of = {verdict: sum(r["verdict"] == verdict for r in results) for verdict in ["open", "error"]}
    lines += ["", f"{caught} of {len(counted)} noticed{share}; {of['open']} open, {of['error']} errors; {len(MUTATIONS)} in all"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--list", action="store_true", help="list the defects")
    parser.add_argument("--check", action="store_true", help="check that every old text occurs exactly once")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="plant these only")
    parser.add_argument("--quick", action="store_true", help="run their own tests only; what these do not notice stays open")
    parser.add_argument("--folder", type=pathlib.Path, help="where the worktree is kept; else a temporary one")
    parser.add_argument("--results", type=pathlib.Path, help="a file of results, which is added to")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after so many minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the order, where the time is limited")
    parser.add_argument("--limit", type=float, default=900, help="seconds for the tests of one command")
    parser.add_argument("--build-limit", type=float, default=1800, help="seconds for its building")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{m[0]:32} {m[1]}" for m in MUTATIONS))
        return 0
    wrong = check()
    unknown = set(options.only or []) - {m[0] for m in MUTATIONS}
    wrong += [f"no defect is named {name}" for name in sorted(unknown)]
    if wrong or options.check:
        print("\n".join(wrong or [f"{len(MUTATIONS)} defects, each at one place"]))
        return int(bool(wrong))
    # Ended from outside, what was started ends too, and the worktree is left as it was.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [m for m in MUTATIONS if not options.only or m[0] in options.only]
    if options.minutes < float("inf"):
        random.Random(options.seed).shuffle(wanted)
    lines = options.results.read_text().splitlines() if options.results and options.results.exists() else []
    results = [json.loads(line) for line in lines]
    # What wider tests may notice, and what did not compile, is run again.
    results = [r for r in {r["name"]: r for r in results}.values() if options.quick or r["verdict"] in ("noticed", "survived")]
    known = {r["name"] for r in results}
    kept = options.folder.resolve() if options.folder else None
    folder = kept or pathlib.Path(tempfile.mkdtemp(prefix="dlc-mutate-")) / "tree"
    end = time.time() + 60 * options.minutes
    try:
        worktree(folder)
        for mutation in (m for m in wanted if m[0] not in known):
            if time.time() >= end:
                break
            result = plant(folder, mutation, options.limit, options.build_limit, options.quick)
            results.append(result)
            by = ", ".join(result["by"][:3])
            print(f"{result['verdict']:9} {result['name']}: {by} ({result['test']}, {result['seconds']} s)", flush=True)
            if options.results:
                with options.results.open("a") as file:
                    file.write(json.dumps(result) + "\n")
    finally:
        print("\n" + table(results))
        if not kept:
            shutil.rmtree(folder.parent, ignore_errors=True)
            git("worktree", "prune")
    return int(any(r["verdict"] != "noticed" for r in results))


if __name__ == "__main__":
    sys.exit(main())
