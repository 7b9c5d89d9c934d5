#!/usr/bin/env python3
"""Makes tests/reference/*.safetensors: what JAX computes for three small networks on the digits of examples/data.

    python3 -m venv env
    env/bin/pip install -r scripts/reference/requirements.txt
    env/bin/python scripts/reference/make.py

The networks are those of tests/reference/*.dl, the format is described in tests/reference/README.md. Beside the files, the
script prints how far JAX is from itself (f32 against f64, and f64 against f64 with its first weights moved by an ulp),
which says how much of a tolerance belongs to the test and how much to the arithmetic.
"""

import gzip
import os
import pathlib
import struct
import sys

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "reference"
BATCH, STEPS, F32_STEPS, SNAPSHOTS = 32, 100, 20, (0, 25, 50, 75)
RATE, MOMENTUM = 0.02, 0.9
STEADY, MOVED, PARTED = 24, 4 * 2.0**-24, 4e-6
BN_EPS, BN_MOMENTUM = 1e-5, 0.1


def digits():
    """Images as bytes [8500, 28, 28] and labels as int32."""
    images = gzip.decompress((ROOT / "examples/data/mnist-train-images.gz").read_bytes())
    labels = gzip.decompress((ROOT / "examples/data/mnist-train-labels.gz").read_bytes())
    magic, count, height, width = struct.unpack(">IIII", images[:16])
    assert magic == 0x803
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(count, height, width)
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int32)


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def conv(p, name, x, padding):
    y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), [(padding, padding)] * 2)
    return y + p[f"{name}.bias"][None, :, None, None] if f"{name}.bias" in p else y


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def batch_norm(p, state, name, x):
    """PyTorch's: the batch's biased variance normalises, its unbiased one goes into the running statistics."""
    count = x.size // x.shape[1]
    mean = x.mean((0, 2, 3))
    var = ((x - mean[None, :, None, None]) ** 2).mean((0, 2, 3))
    unit = (x - mean[None, :, None, None]) / jnp.sqrt(var + BN_EPS)[None, :, None, None]
    keep = 1 - BN_MOMENTUM
    new = {
        f"{name}.running_mean": keep * state[f"{name}.running_mean"] + BN_MOMENTUM * mean,
        f"{name}.running_var": keep * state[f"{name}.running_var"] + BN_MOMENTUM * var * (count / (count - 1)),
    }
    return unit * p[f"{name}.weight"][None, :, None, None] + p[f"{name}.bias"][None, :, None, None], new


def perceptron(p, state, image):
    x = image.reshape(image.shape[0], -1)
    return linear(p, "linear_2", jax.nn.relu(linear(p, "linear_1", x))), {}


def lenet(p, state, image):
    x = max_pool(jax.nn.relu(conv(p, "c1", image[:, None], 2)))
    x = max_pool(jax.nn.relu(conv(p, "c3", x, 0)))
    x = jax.nn.relu(linear(p, "c5", x.reshape(x.shape[0], -1)))
    return linear(p, "output", x), {}


def lenet_bn(p, state, image):
    x, new1 = batch_norm(p, state, "b1", conv(p, "c1", image[:, None], 2))
    x, new3 = batch_norm(p, state, "b3", conv(p, "c3", max_pool(jax.nn.relu(x)), 0))
    x = max_pool(jax.nn.relu(x))
    x = jax.nn.relu(linear(p, "c5", x.reshape(x.shape[0], -1)))
    return linear(p, "output", x), new1 | new3


DENSE = {"c5.weight": (32, 800), "c5.bias": (32,), "output.weight": (10, 32), "output.bias": (10,)}
MODELS = {
    "perceptron": (perceptron, {
        "linear_1.weight": (32, 784), "linear_1.bias": (32,), "linear_2.weight": (10, 32), "linear_2.bias": (10,),
    }),
    "lenet": (lenet, {
        "c1.weight": (16, 1, 5, 5), "c1.bias": (16,), "c3.weight": (32, 16, 5, 5), "c3.bias": (32,), **DENSE,
    }),
    "lenet_bn": (lenet_bn, {
        "c1.weight": (16, 1, 5, 5), "b1.weight": (16,), "b1.bias": (16,),
        "c3.weight": (32, 16, 5, 5), "b3.weight": (32,), "b3.bias": (32,), **DENSE,
    }),
}


def initial(shapes):
    """He initialisation, rounded to f32 so that one copy serves both widths; no bias is 0, no scale 1."""
    rng = np.random.default_rng(7)
    p, state = {}, {}
    for name, shape in shapes.items():
        noise = rng.standard_normal(shape)
        if len(shape) > 1:
            p[name] = noise * np.sqrt(2 / np.prod(shape[1:]))
        else:
            p[name] = (1.0 if name in ("b1.weight", "b3.weight") else 0.0) + 0.05 * noise
        if name in ("b1.weight", "b3.weight"):
            base = name.removesuffix("weight")
            state[f"{base}running_mean"] = np.zeros(shape)
            state[f"{base}running_var"] = np.ones(shape)
    return narrow(p), narrow(state)


def narrow(tree):
    return {name: np.asarray(x, np.float32) for name, x in tree.items()}


def widen(tree):
    return {name: np.asarray(x, np.float64) for name, x in tree.items()}


def step_of(forward):
    def loss_of(p, state, image, label):
        logits, new = forward(p, state, image)
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1)
        return -picked.mean(), new

    @jax.jit
    def step(p, v, state, image, label):
        (loss, state), grad = jax.value_and_grad(loss_of, has_aux=True)(p, state, image, label)
        v = {name: MOMENTUM * v[name] + grad[name] for name in p}
        return loss, grad, {name: p[name] - RATE * v[name] for name in p}, v, state

    return step


def run(step, p, state, batches, pixels, labels, dtype, steps):
    """Losses, and (parameters, momentum, state) before every step."""
    v = {name: np.zeros_like(x) for name, x in p.items()}
    losses, before = [], []
    for batch in batches[:steps]:
        before.append((p, v, state))
        image = pixels[batch].astype(dtype) / dtype(255)
        loss, _, p, v, state = step(p, v, state, image, labels[batch])
        assert loss.dtype == dtype
        losses.append(float(loss))
    return np.array(losses, dtype), before


def apart(a, b):
    """Largest difference, relative to the largest magnitude."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)


def steady_batches(step, p, state, pixels, labels):
    """The first order of the examples in which f32 losses do not depend on who rounds how.

    Where an activation comes within rounding of a kink (relu at 0, two equal maxima of a window), two correct f32 runs choose
    different sides and part by 1e-5 and more within some steps. Such a run tests luck. So STEADY runs whose first weights are
    moved by some ulps at random must stay together; also how far they part is returned.
    """
    for seed in range(11, 99):
        shuffled = np.random.default_rng(seed).permutation(len(labels))[: STEPS * BATCH]
        batches = shuffled.reshape(STEPS, BATCH).astype(np.int32)
        exact, _ = run(step, widen(p), widen(state), batches, pixels, labels, np.float64, F32_STEPS)
        rng = np.random.default_rng(seed)
        spread = 0.0
        for _ in range(STEADY):
            moved = {n: (x * (1 + MOVED * rng.standard_normal(x.shape))).astype(np.float32) for n, x in p.items()}
            losses, _ = run(step, moved, state, batches, pixels, labels, np.float32, F32_STEPS)
            spread = max(spread, np.abs(losses - exact).max())
        if spread < PARTED:
            return batches, spread
        print(f"  order {seed} is not steady: {spread:.1e} apart")
    sys.exit("no order of the examples is steady")


def make(name, pixels, labels):
    forward, shapes = MODELS[name]
    step = step_of(forward)
    p, state = initial(shapes)
    batches, spread = steady_batches(step, p, state, pixels, labels)
    wide, before = run(step, widen(p), widen(state), batches, pixels, labels, np.float64, STEPS)
    moved = {n: np.nextafter(x, np.inf) for n, x in widen(p).items()}
    again, _ = run(step, moved, widen(state), batches, pixels, labels, np.float64, STEPS)
    short, _ = run(step, p, state, batches, pixels, labels, np.float32, F32_STEPS)
    out = {"batches": batches, "losses.f64": wide, "losses.f32": short}
    out |= {f"init/{n}": x for n, x in (p | state).items()}
    worst = 0.0
    for at in SNAPSHOTS:
        sp, sv, ss = map(narrow, before[at])
        image, label = pixels[batches[at]], labels[batches[at]]
        loss, grad, new_p, new_v, new_s = step(sp, sv, ss, image.astype(np.float32) / np.float32(255), label)
        exact = step(widen(sp), widen(sv), widen(ss), image.astype(np.float64) / 255, label)
        pairs = [({"": loss}, {"": exact[0]}), (grad, exact[1]), (new_p, exact[2]), (new_s, exact[4])]
        worst = max(worst, *(apart(a[n], b[n]) for a, b in pairs for n in a))
        prefix = f"step{at:02}"
        out[f"{prefix}/loss"] = np.asarray(loss)
        for kind, tree in [("param", sp), ("momentum", sv), ("state", ss), ("grad", grad), ("updated", new_p | new_s)]:
            out |= {f"{prefix}/{kind}/{n}": np.asarray(x) for n, x in tree.items()}
    out = {n: np.ascontiguousarray(x) for n, x in out.items()}
    save_file(out, OUT / f"{name}.safetensors")
    (OUT / f"{name}.safetensors").chmod(0o644)
    size = (OUT / f"{name}.safetensors").stat().st_size
    print(f"{name}: {size:,} bytes, loss {wide[0]:.4f} to {wide[-10:].mean():.4f}")
    print(f"  f64 losses with weights moved by an ulp: {np.abs(wide - again).max():.1e} apart over {STEPS} steps")
    print(f"  f32 losses against f64: {np.abs(wide[:F32_STEPS] - short).max():.1e} apart over {F32_STEPS} steps")
    print(f"  f32 losses of {STEADY} runs with weights moved by some ulps, against f64: {spread:.1e} apart")
    print(f"  one f32 step against f64: {worst:.1e} of a tensor's largest magnitude at most")
    return worst < 5e-6


def main():
    pixels, labels = digits()
    OUT.mkdir(parents=True, exist_ok=True)
    good = [make(name, pixels, labels) for name in MODELS]
    sys.exit(0 if all(good) else "JAX's f32 is too far from its f64 for the tests' tolerance")


if __name__ == "__main__":
    main()
