#!/usr/bin/env python3
"""Plants defects in dlc, one at a time, and reports which tests notice.

    scripts/mutate.py --check             every old text occurs exactly once (fast: run it after changes)
    scripts/mutate.py                     all of them: about an hour
    scripts/mutate.py --only NAME ...     some of them, in this order
    scripts/mutate.py --quick             by their own tests only; defects that these do not notice stay open for a full run
    scripts/mutate.py --minutes 60        as many as fit into an hour, in a random order: a fair sample

The defects are data, in `mutations.py`. They are planted in a git worktree of the last commit, with a target folder of its own, so
that the working tree is neither changed nor built. All defects within functions are built at once: the body of such a function is
duplicated with each of its defects, among which an environment variable selects. The others are planted and built one at a time. With
one active defect, tests run from the most specific to the widest, until one fails; that one must pass without the defect. A defect
whose tests do not end within `--limit` seconds counts as noticed: the program hangs. One that does not compile is an error of this
script and is not counted.

A folder named by `--folder` is kept, and the next run builds faster in it. Results are appended to `--results` as lines of JSON;
results that are there already are not rerun. The output ends with the table of all results and the fraction that was noticed. The exit
status is 1 if a defect survived or did not compile. Needs Python 3.9 and nothing else.
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
# Selects the active defect by its number in the list, from 1.
SWITCH = "DLC_DEFECT"
SWITCH_FILE = "compiler/ir/src/lib.rs"
SWITCH_CODE = f'''
/// The planted defect that is on.
pub fn planted_defect() -> usize {{
    static ON: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var("{SWITCH}").ok().and_then(|on| on.parse().ok()).unwrap_or(0))
}}
'''
ROOM = {"compiler/ir/": "-p dlc-ir", "compiler/": "-p dlc-compiler", "dsl/": "-p dlc-dsl"}
# The tests of the whole, for defects that the tests of their crates do not notice.
WIDEST = [f"-p dlc --test {name}" for name in ["reference", "prepare", "step", "golden", "measures", "draws"]]


def git(*args, cwd=ROOT):
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


def commands(file, tests):
    """The tests of a defect without duplicates: those that it names, those of its crate, those of the whole."""
    own = next(package for room, package in ROOM.items() if file.startswith(room))
    further = ["-p dlc-compiler"] if own == "-p dlc-ir" else []
    return list(dict.fromkeys([*tests, own, *further, *WIDEST]))


def check():
    """The errors of the list."""
    wrong = [f"duplicate name {name}" for name in {m[0] for m in MUTATIONS} if sum(m[0] == name for m in MUTATIONS) > 1]
    for name, file, old, new, tests in MUTATIONS:
        path = ROOT / file
        found = path.read_text().count(old) if path.is_file() else None
        if found is None:
            wrong.append(f"{name}: no such file: {file}")
        elif found != 1:
            wrong.append(f"{name}: expected once in {file}, found {found} times: {old}")
        elif old == new:
            wrong.append(f"{name}: changes nothing")
    return wrong


TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\u\{[^}]*\}|\\.|[^\\'])'"""
    r"""|(?P<fn>\b(?:const\s+)?fn\s+\w+)|(?P<mark>[][{}();])""", re.S)


def bodies(text):
    """Begin and end of the bodies of the functions and closures in a Rust source that may be switched: not of `const` ones, nor
    where the type of the result is inferred from the body."""
    found, braces, nested, head = [], [], 0, None
    for token in TOKEN.finditer(text):
        mark = token["mark"]
        if token["fn"]:
            head, nested = token.start(), 0
        elif mark in ("(", "["):
            nested += 1
        elif mark in (")", "]"):
            nested -= 1
        elif mark == ";" and nested == 0:
            head = None
        elif mark == "{":
            signature = text[head : token.start()] if head is not None else ""
            closure = text[: token.start()].rstrip().endswith("|")
            fits = signature.startswith("fn") and "impl " not in signature.partition("->")[2]
            braces.append(token.start() if fits or closure else None)
            head = None
        elif mark == "}":
            begin = braces.pop()
            if begin is not None:
                found.append((begin, token.end()))
    return found


def switched(texts):
    """Sources by file with a switch for all defects that are within functions, and the numbers of these defects."""
    within = {}
    for number, (_, file, old, _, _) in enumerate(MUTATIONS, 1):
        at = texts[file].index(old)
        around = [(begin, end) for begin, end in bodies(texts[file]) if begin < at and at + len(old) < end]
        if around:
            within.setdefault((file, *min(around)), []).append(number)
    texts = dict(texts)
    # From the back, so that earlier offsets stay valid.
    for (file, begin, end), numbers in sorted(within.items(), reverse=True):
        text, root = texts[file], "crate" if file.startswith("compiler/ir/") else "dlc_ir"
        arms = []
        for number in numbers:
            _, _, old, new, _ = MUTATIONS[number - 1]
            arms.append(f"{number} => {text[begin:end].replace(old, new)}\n")
        arms.append(f"_ => {text[begin:end]}\n")
        texts[file] = text[:begin] + f"{{ match {root}::planted_defect() {{\n{''.join(arms)}}} }}" + text[end:]
    texts[SWITCH_FILE] += SWITCH_CODE
    return texts, {number for numbers in within.values() for number in numbers}


def run(arguments, folder, limit, defect=0):
    """Exit status, or None past the time limit, and output. Its child processes are killed with it."""
    environment = dict(os.environ, CARGO_TARGET_DIR=str(folder / "target"), INSTA_UPDATE="no", RUST_BACKTRACE="0")
    environment[SWITCH] = str(defect)
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
    """The names of the tests that failed."""
    names = re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", output, re.M)
    return list(dict.fromkeys(names + re.findall(r"^---- (\S+) stdout ----", output, re.M)))


def ended(output):
    """The end of the output of a run that names no failed test."""
    return re.findall(r"\(signal: \d+, [^)]*\)", output)[:1] or ["exit status"]


def build(folder, command, limit):
    """The error of building the tests of a command, if there is one."""
    built = False
    try:
        status, output = run(["cargo", "test", "-q", *command.split(), "--no-run"], folder, limit)
        built = status is not None
    finally:
        if not built:
            # A killed compiler leaves files that later ones cannot link.
            shutil.rmtree(folder / "target/debug/incremental", ignore_errors=True)
            (folder / "compiler/ir/src/lib.rs").touch()
    if status == 0:
        return []
    errors = [line for line in output.splitlines() if line.startswith("error")]
    return errors[:1] or ["building took too long" if status is None else "cargo failed"]


class Tree:
    """The worktree with the defects planted."""

    def __init__(self, folder, options):
        self.folder, self.options = folder, options
        self.files = sorted({m[1] for m in MUTATIONS} | {SWITCH_FILE})
        # What an earlier run planted need not be built again.
        before = {file: self.look(file) for file in self.files}
        worktree(folder)
        self.texts, self.with_switch = switched({file: (folder / file).read_text() for file in self.files})
        self.write()
        for file, (text, times) in before.items():
            if text == self.texts[file]:
                os.utime(folder / file, ns=times)
        # The tests of a command that are known to pass without a defect.
        self.passing = set()

    def look(self, file):
        path = self.folder / file
        if not path.is_file():
            return None, None
        return path.read_text(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)

    def write(self):
        """Writes the sources. Removes what failed tests may have left: cases of proptest, new snapshots."""
        for file in git("diff", "--name-only", cwd=self.folder).splitlines():
            if file not in self.texts:
                git("checkout", "-q", "--", file, cwd=self.folder)
        git("clean", "-fdq", cwd=self.folder)
        for file, text in self.texts.items():
            if (self.folder / file).read_text() != text:
                (self.folder / file).write_text(text)

    def noticed(self, command, defect):
        """The result of a command: nothing, the failing tests, or an error of the tests themselves."""
        wrong = build(self.folder, command, self.options.build_limit)
        if wrong:
            return "error", wrong
        test = ["cargo", "test", "-q", *command.split()]
        status, output = run(test, self.folder, self.options.limit, defect)
        if status == 0:
            return "survived", []
        if status is None:
            return "noticed", ["does not end"]
        names = failures(output)
        found = {(command, name) for name in names or ended(output)}
        if not found <= self.passing:
            # One without a switch is reverted.
            self.write()
            only = ["--", "--exact", *names] if names else []
            wrong = build(self.folder, command, self.options.build_limit)
            status, output = run([*test, *only], self.folder, self.options.limit)
            if wrong or status != 0:
                print(output)
                return "error", ["fails without the defect", *failures(output)]
            self.passing |= found
        return "noticed", names or ended(output)

    def plant(self, defect):
        """Tests with one active defect."""
        name, file, old, new, tests = MUTATIONS[defect - 1]
        began = time.time()
        result = {"name": name, "file": file, "verdict": "survived", "by": [], "test": ""}
        try:
            if defect not in self.with_switch:
                (self.folder / file).write_text(self.texts[file].replace(old, new))
            for command in tests if self.options.quick else commands(file, tests):
                result["verdict"], result["by"] = self.noticed(command, defect)
                result["test"] = command
                if result["verdict"] != "survived":
                    break
            if self.options.quick and result["verdict"] == "survived":
                result["verdict"] = "open"
        finally:
            self.write()
        result["seconds"] = round(time.time() - began)
        return result


def worktree(folder):
    """A worktree of the last commit in a folder that is nothing else."""
    common = lambda cwd: pathlib.Path(cwd, git("rev-parse", "--git-common-dir", cwd=cwd)).resolve()
    if not (folder / ".git").exists():
        git("worktree", "add", "-q", "--detach", str(folder), "HEAD")
    elif folder == ROOT or not (folder / ".git").is_file() or common(folder) != common(ROOT):
        sys.exit(f"{folder} is not another worktree of {ROOT}")
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
    fraction = f" ({100 * caught / len(counted):.0f} %)" if counted else ""
    of = {verdict: sum(r["verdict"] == verdict for r in results) for verdict in ["open", "error"]}
    lines += ["", f"{caught} of {len(counted)} noticed{fraction}; {of['open']} open, {of['error']} errors; {len(MUTATIONS)} in all"]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--list", action="store_true", help="list the defects")
    parser.add_argument("--check", action="store_true", help="check that every old text occurs exactly once")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="plant these only")
    parser.add_argument("--quick", action="store_true", help="run their own tests only; what these do not notice stays open")
    parser.add_argument("--folder", type=pathlib.Path, help="where the worktree is kept; else a temporary one")
    parser.add_argument("--results", type=pathlib.Path, help="a file of results, which is added to")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start none after this many minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the order, where the time is limited")
    parser.add_argument("--limit", type=float, default=900, help="seconds for the tests of one command")
    parser.add_argument("--build-limit", type=float, default=1800, help="seconds for its building")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{m[0]:32} {m[1]}" for m in MUTATIONS))
        return 0
    wrong = check()
    unknown = set(options.only or []) - {m[0] for m in MUTATIONS}
    wrong += [f"unknown defect {name}" for name in sorted(unknown)]
    if wrong or options.check:
        print("\n".join(wrong or [f"{len(MUTATIONS)} defects, each at one place"]))
        return int(bool(wrong))
    # If killed, kill child processes too, and restore the worktree.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    numbers = {m[0]: number for number, m in enumerate(MUTATIONS, 1)}
    wanted = list(dict.fromkeys(options.only or numbers))
    if options.minutes < float("inf"):
        random.Random(options.seed).shuffle(wanted)
    lines = options.results.read_text().splitlines() if options.results and options.results.exists() else []
    results = [json.loads(line) for line in lines]
    # Rerun what wider tests may notice, and errors.
    settled = ["noticed", "survived", *(["open"] if options.quick else [])]
    results = [r for r in {r["name"]: r for r in results}.values() if r["verdict"] in settled]
    known = {r["name"] for r in results}
    kept = options.folder.resolve() if options.folder else None
    folder = kept or pathlib.Path(tempfile.mkdtemp(prefix="dlc-mutate-")) / "tree"
    end = time.time() + 60 * options.minutes
    try:
        tree = Tree(folder, options)
        for name in (name for name in wanted if name not in known):
            if time.time() >= end:
                break
            result = tree.plant(numbers[name])
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
