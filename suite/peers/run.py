#!/usr/bin/env python3
"""Runs workloads on dlc and on other systems, alternating, in the same run on the same machine, and prints figures with ratios: of a call
(`--what median`), from the start to the first result, imports left out (`first`), or peak memory (`memory`).

    suite/peers/run.py lenet_train resnet18 --peer torch,ort,openvino --threads 2 --json out.json

Peers: torch, torch-compile, jax, ort, openvino, litert; `+mkl` after a peer tells MKL, which computes the products of PyTorch's wheel, to take the
instructions that the processor has also on AMD's. `requirements.txt` has their versions; the peers run in the Python that runs this script.
dlc is built before. Every pair runs in a process of its own, on as many cores as threads, by the rules of the suite: no time without a right
result. Rows are appended to `--json`, one object a line, for `dlc-suite compare`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = {"torch": "of_torch", "torch-compile": "of_torch", "jax": "of_jax", "ort": "of_onnx", "openvino": "of_onnx", "litert": "of_litert"}
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
import measure  # noqa: E402
import models  # noqa: E402


def environment(peer, threads, folder):
    words = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC", "TORCHINDUCTOR_COMPILE_THREADS"], str(threads))
    words |= {"JAX_PLATFORMS": "cpu", "TORCHINDUCTOR_CACHE_DIR": folder, "TORCHINDUCTOR_FX_GRAPH_CACHE": "0"}
    words["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    if peer.endswith("+mkl"):
        words["LD_PRELOAD"] = mkl_library()
    return {**os.environ, **words}


def mkl_library():
    """MKL asks these functions whether the processor is Intel's, and takes its slowest instructions otherwise."""
    library = pathlib.Path(tempfile.gettempdir()) / f"dlc-suite-mkl-{os.getuid()}.so"
    if not library.exists():
        code = "int mkl_serv_intel_cpu_true(void) { return 1; }\nint mkl_serv_intel_cpu(void) { return 1; }\n"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=code, text=True, check=True)
    return str(library)


def run(name, peer, a):
    """The row of a workload on a system."""
    failed = {"workload": name, "peer": peer, "threads": a.threads, "ok": False}
    with tempfile.TemporaryDirectory() as folder:
        if peer == "dlc":
            command = [ROOT / "target/release/dlc-suite", name, "--json"]
            env = os.environ
        else:
            command = [sys.executable, __file__, name, "--child", "--peer", peer]
            env = environment(peer, a.threads, folder)
        command += ["--data", a.data, "--threads", str(a.threads), "--min-time", str(a.min_time)]
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=a.timeout)
        except subprocess.TimeoutExpired:
            return {**failed, "err": f"stopped after {a.timeout} s"}
    rows = [line for line in done.stdout.splitlines() if line.startswith("{")]
    tail = " | ".join((done.stderr + done.stdout).strip().splitlines()[-3:])
    return json.loads(rows[-1]) if rows else {**failed, "err": f"exit {done.returncode}: {tail[-300:]}"}


def why_not(workload, peer):
    """Why a peer does not run a workload; none if it does."""
    if workload.trains and PEERS[peer.split("+")[0]] in ("of_onnx", "of_litert"):
        return "inference only"
    if workload.decode and peer.split("+")[0] == "torch-compile":
        return "decoding is written for eager PyTorch only"
    return None


# what is compared: its heading, and the figure of a row, of which the lowest of all rounds counts, since noise only adds
WHAT = {
    "median": ("ms of a call, the median", lambda row: row.get("median_ms")),
    "first": ("seconds from the start to the first result: files, compilation, first call; imports left out", lambda row: row["load_s"] + row["first_s"]),
    "memory": ("MiB of memory at most, the process with all its libraries", lambda row: row.get("rss_peak_mb")),
}


def figure(row, what):
    """Only of a right result."""
    return WHAT[what][1](row) if row is not None and row.get("ok") else None


def cell(row, what, of_dlc):
    value = figure(row, what)
    if row is None or value is None:
        return "-" if row is None else "unchecked" if row.get("ok") is None else "WRONG"
    ratio = f" ({value / of_dlc:.2f})" if of_dlc else ""
    return f"{value:.{4 if value < 1 else 2}f}{ratio}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="workloads [default: all]")
    parser.add_argument("--peer", default="torch,ort", help="systems, separated by commas")
    parser.add_argument("--what", choices=WHAT, default="median", help="the figure that is printed; rows have all of them")
    parser.add_argument("--data", default=str(ROOT / "target/suite"), help="the folder with weights, inputs and references")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--min-time", type=float, default=2.0, help="seconds of timing for each pair and round")
    parser.add_argument("--rounds", type=int, default=2, help="how often each pair runs; the lowest figure counts")
    parser.add_argument("--timeout", type=float, default=600.0)
    parser.add_argument("--json", help="the file that rows are appended to")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    unknown = [name for name in a.names if name not in models.WORKLOADS]
    unknown += [peer for peer in a.peer.split(",") if peer.split("+")[0] not in PEERS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if a.child:
        print(json.dumps(measure.row(models.WORKLOADS[a.names[0]], PEERS[a.peer.split("+")[0]], a)), flush=True)
        os._exit(0)  # some systems are slow, or crash, when they shut down
    peers = a.peer.split(",")
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "dlc-suite"], cwd=ROOT, check=True)
    better = "uses less" if a.what == "memory" else "is faster"
    print(f"{WHAT[a.what][0]}; the lowest of all rounds; in brackets by that of dlc: above 1, dlc {better}")
    not_run = {}
    print("  ".join([f"{'workload':<21}", f"{'dlc':>9}", *(f"{peer:>18}" for peer in peers)]))
    for name in a.names or models.WORKLOADS:
        subprocess.run([ROOT / "target/release/dlc-suite", "gen", name, "--data", a.data], check=True, stdout=subprocess.DEVNULL)
        reasons = {peer: why_not(models.WORKLOADS[name], peer) for peer in peers}
        for peer, reason in reasons.items():
            if reason:
                not_run.setdefault(f"{peer}: {reason}", []).append(name)
        best = {}
        for _ in range(a.rounds):
            for peer in ["dlc", *(peer for peer in peers if not reasons[peer])]:
                row = run(name, peer, a)
                if a.json:
                    with open(a.json, "a") as file:
                        file.write(json.dumps(row) + "\n")
                if not row.get("ok") and row.get("err") is not None:
                    print(f"{name}, {peer}: {row['err']}", file=sys.stderr)
                if peer not in best or (figure(row, a.what) or 1e30) < (figure(best[peer], a.what) or 1e30):
                    best[peer] = row
        of_dlc = figure(best["dlc"], a.what)
        columns = [f"{cell(best['dlc'], a.what, None):>9}", *(f"{cell(best.get(peer), a.what, of_dlc):>18}" for peer in peers)]
        print("  ".join([f"{name:<21}", *columns]), flush=True)
    for reason, names in not_run.items():
        print(f"not run, {reason}: {', '.join(names)}")


if __name__ == "__main__":
    main()
