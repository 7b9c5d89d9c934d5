"""One workload on one peer in this process, by the rules of dlc's own suite: the same checks, samples, and figures."""

import importlib
import os
import resource
import time

import models

# numpy and the peer are imported when the clock runs

LOSSES, STEPS = 5, 300
TOLERANCE = 1e-3
# read files of their own, which have the weights
MAKE_FILES = ("of_onnx", "of_litert")
SHORT = {".w": ".weight", ".g": ".weight", ".b": ".bias", ".m": ".running_mean", ".v": ".running_var"}


def peak_memory():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


def reset_peak_memory():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # then the peak is that of the whole process


def full_name(name):
    """Files of other generators have short names."""
    return name[:-2] + SHORT[name[-2:]] if name[-2:] in SHORT else name


def samples(call, seconds, least, most):
    """Milliseconds of a call in each sample of at least one millisecond, and the calls in a sample."""
    start = time.perf_counter()
    call()
    one = max(time.perf_counter() - start, 1e-7)
    calls = min(max(1, int(1e-3 / one)), max(1, most // max(least, 20)))
    taken, start = [], time.perf_counter()
    while True:
        begin = time.perf_counter()
        for _ in range(calls):
            counted = call()
        end = time.perf_counter()
        taken.append(counted if isinstance(counted, float) else (end - begin) * 1e3 / calls)
        elapsed = end - start
        if len(taken) * calls >= most or (elapsed >= seconds and len(taken) >= least) or (elapsed >= 6 * seconds and len(taken) >= 3):
            return sorted(taken), calls


def median(numbers):
    numbers, middle = sorted(numbers), len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def row(workload, module, a):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
    found = {"workload": workload.name, "peer": a.peer, "threads": a.threads, "ok": False}
    start = time.perf_counter()
    # a file that the peer needs is made by a process that has nothing else to do
    if module in MAKE_FILES:
        made(workload, module, a)
        start = time.perf_counter()
    of_peer = importlib.import_module(module)
    found["version"] = of_peer.version(a.peer.split("+")[0])
    import numpy as np
    found["import_s"] = time.perf_counter() - start
    inputs, target, reference = load_io(workload, a)
    a.peer = a.peer.split("+")[0]
    start = time.perf_counter()
    weights = {} if module in MAKE_FILES else load_weights(workload, a)
    call, value = of_peer.build(workload, weights, inputs, target, a)
    weights.clear()
    found["load_s"] = time.perf_counter() - start
    start = time.perf_counter()
    if workload.decode:
        (prompt, step), times = call, []

        def call():
            begin = time.perf_counter()
            tokens = [prompt()]
            after = time.perf_counter()
            for i in range(models.TOKENS):
                tokens.append(step(tokens[-1], i))
            tokens = [value(token) for token in tokens]
            times.append((after - begin) * 1e3)
            call.tokens = tokens
            return (time.perf_counter() - after) * 1e3 / models.TOKENS
        value(step(prompt(), 0))
    else:
        first = value(call())
    found["first_s"] = time.perf_counter() - start
    found["ttfr_s"] = found["import_s"] + found["load_s"] + found["first_s"]
    if workload.decode:
        call()
        err = int((np.array(call.tokens) != reference).sum()) if reference is not None else None
    elif workload.trains:
        losses = np.array([first] + [value(call()) for _ in range(LOSSES - 1)])
        err = float(np.abs(losses / reference - 1).max()) if reference is not None else None
    else:
        again = value(call())
        found["rss_load_mb"] = peak_memory()
        worst = lambda y: np.abs(np.asarray(y, np.float64).reshape(reference.shape) - reference).max() / np.abs(reference).max()
        err = float(max(worst(first), worst(again))) if reference is not None else None
    found.setdefault("rss_load_mb", peak_memory())
    if err is None:
        return {**found, "ok": None, "err": "unchecked: no reference"}
    found |= {"ok": bool(err <= (0 if workload.decode else TOLERANCE)), "err": err if np.isfinite(err) else "the result is not finite"}
    found["rss_peak_mb"] = found["rss_load_mb"]
    if found["ok"]:
        first = again = None
        reset_peak_memory()
        warm_up, least = (1, 3) if workload.decode else (3, 10)
        for _ in range(warm_up):
            call()
        if workload.decode:
            times.clear()
        most = STEPS - LOSSES - warm_up if workload.trains else 10**7
        before, cpu, start = resource.getrusage(resource.RUSAGE_SELF), time.process_time(), time.perf_counter()
        taken, calls = samples(call, a.min_time, least, most)
        found["cpu_util"] = (time.process_time() - cpu) / (time.perf_counter() - start)
        found["nivcsw"] = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw - before.ru_nivcsw
        found["rss_steady_mb"] = peak_memory()
        found["rss_peak_mb"] = max(found["rss_load_mb"], found["rss_steady_mb"])
        found |= {"median_ms": median(taken), "min_ms": taken[0], "p90_ms": taken[int(0.9 * (len(taken) - 1))]}
        found |= {"n": len(taken), "calls_per_sample": calls}
        if workload.decode:
            found["prefill_ms"] = median(times)
    return found


def load_io(workload, a):
    from safetensors.numpy import load_file

    inputs = load_file(os.path.join(a.data, f"{workload.name}.io.safetensors"))
    reference = inputs.pop("ref", None)
    target = inputs.pop("y", None)
    # in the order of the model's arguments
    order = ["x", "w", "b", "r", "a", "ids"] if "r" in inputs else ["a", "b", "x", "ids"]
    return {name: inputs[name] for name in order if name in inputs}, target, reference


def load_weights(workload, a):
    from safetensors.numpy import load_file

    path = os.path.join(a.data, f"{workload.model}.safetensors")
    return {full_name(name): value for name, value in load_file(path).items()} if os.path.exists(path) else {}


def made(workload, module, a):
    """Makes the files that a peer reads if they are missing or older than the weights, in a process of its own."""
    age = lambda path: os.path.getmtime(path) if os.path.exists(path) else 0.0
    weights = age(os.path.join(a.data, f"{workload.model}.safetensors"))
    child = os.fork()
    if child == 0:
        of_peer = importlib.import_module(module)
        if not all(age(path) > weights for path in of_peer.files(workload, a)):
            of_peer.export(workload, load_weights(workload, a), load_io(workload, a)[0], a)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(f"the file of {workload.name} for {a.peer} could not be made")
