"""JAX: everything under one `jax.jit`, images as NHWC, donated state in training and decoding."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import models

def version(peer):
    return jax.__version__


class Ops:
    def __init__(self, weights, trains):
        self.weights, self.trains, self.updates = weights, trains, {}

    def has(self, name):
        return name in self.weights

    relu = staticmethod(lambda x: jnp.maximum(x, 0))
    relu6 = staticmethod(lambda x: jnp.clip(x, 0, 6))
    silu, sigmoid = staticmethod(jax.nn.silu), staticmethod(jax.nn.sigmoid)
    gelu = staticmethod(lambda x: jax.nn.gelu(x, approximate=False))
    gelu_tanh = staticmethod(lambda x: jax.nn.gelu(x, approximate=True))
    softmax = staticmethod(lambda x: jax.nn.softmax(x, -1))
    flatten = staticmethod(lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1))
    thirds = staticmethod(lambda x: jnp.split(x, 3, -1))
    mean_of_image = staticmethod(lambda x, keep=False: x.mean((1, 2), keepdims=keep))

    @staticmethod
    def max_pool(x, size, stride, padding):
        pads = ((0, 0), (padding, padding), (padding, padding), (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), pads)

    def plus_bias(self, name, y):
        return y + self.weights[name + ".bias"] if self.has(name + ".bias") else y

    def linear(self, name, x):
        return self.plus_bias(name, x @ self.weights[name + ".weight"])

    def conv(self, name, x, stride=1, padding=0, groups=1):
        y = lax.conv_general_dilated(x, self.weights[name + ".weight"], (stride, stride), [(padding, padding)] * 2,
                                     dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups)
        return self.plus_bias(name, y)

    def batch_norm(self, name, x):
        weight, bias, mean, var = (self.weights[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var"))
        if self.trains:
            count = x.size // x.shape[-1]
            own, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            self.updates[name + ".running_mean"] = 0.9 * mean + 0.1 * own
            self.updates[name + ".running_var"] = 0.9 * var + 0.1 * variance * (count / (count - 1))
            mean, var = own, variance
        scale = weight * lax.rsqrt(var + 1e-5)
        return x * scale + (bias - mean * scale)

    def layer_norm(self, name, x, eps):
        d = x - x.mean(-1, keepdims=True)
        y = d * lax.rsqrt(jnp.square(d).mean(-1, keepdims=True) + eps)
        return y * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def take(self, name, ids):
        return self.weights[name][ids]

    def rows(self, name, count):
        return self.weights[name][:count]

    def logits(self, name, x):
        return jnp.einsum("...d,vd->...v", x, self.weights[name])

    def attention(self, q, k, v, heads, causal):
        q, k, v = (x.reshape(*x.shape[:2], heads, -1) for x in (q, k, v))
        s = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        if causal:
            s = jnp.where(jnp.tril(jnp.ones(s.shape[-2:], bool)), s, -1e30)
        y = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(s, -1), v)
        return y.reshape(*y.shape[:2], -1)

    def recurrent(self, kind, x):
        w, u, bx, bh = (self.weights[name] for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
        zero = jnp.zeros((x.shape[0], 256), x.dtype)
        given = jnp.einsum("bti,gi->tbg", x, w) + bx

        def lstm(state, given):
            h, c = state
            i, f, g, o = jnp.split(given + (h @ u.T + bh), 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        def gru(state, given):
            (xr, xz, xn), (hr, hz, hn) = jnp.split(given, 3, -1), jnp.split(state[0] @ u.T + bh, 3, -1)
            z, n = jax.nn.sigmoid(xz + hz), jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn)
            return ((1 - z) * n + z * state[0],), None
        return lax.scan(lstm, (zero, zero), given)[0][0] if kind == "lstm" else lax.scan(gru, (zero,), given)[0][0]


def load(name, value):
    """Layouts that a user of JAX has: [in, out] of a linear layer, HWIO of a convolution."""
    if name.endswith(".weight") and value.ndim == 2:
        value = value.T
    elif value.ndim == 4:
        value = value.transpose(2, 3, 1, 0)
    return jnp.asarray(np.ascontiguousarray(value))


def load_input(value):
    if value.ndim == 4:
        value = value.transpose(0, 2, 3, 1)
    return jnp.asarray(np.ascontiguousarray(value if value.dtype != np.int64 else value.astype(np.int32)))


def build(workload, weights, inputs, target, options):
    weights = {name: load(name, value) for name, value in weights.items()}
    if workload.decode:
        return decode(weights, load_input(inputs["ids"]))
    inputs = [load_input(value) for value in inputs.values()]
    if not workload.trains:
        run = jax.jit(lambda weights, *inputs: workload.run(Ops(weights, False), *inputs))
        return (lambda: run(weights, *inputs).block_until_ready()), np.asarray
    stored = {name: weights.pop(name) for name in list(weights) if "running_" in name}
    target, o = load_input(target), workload.optimizer
    adam = "betas" in o

    def loss_of(weights, stored, inputs):
        ops = Ops({**weights, **stored}, True)
        y = workload.run(ops, *inputs)
        if workload.loss == "mse":
            return jnp.square(y - target).mean(), ops.updates
        logs = jax.nn.log_softmax(y.reshape(-1, y.shape[-1]))
        return -jnp.take_along_axis(logs, target.reshape(-1, 1), 1).mean(), ops.updates

    def update(weights, stored, moments, inputs):
        (loss, stored), g = jax.value_and_grad(loss_of, has_aux=True)(weights, stored, inputs)
        if not adam:
            v = {n: workload.momentum * moments["v"][n] + g[n] for n in g}
            return {n: w - o["lr"] * v[n] for n, w in weights.items()}, stored, {"v": v}, loss
        b1, b2, t = *o["betas"], moments["t"] + 1
        m = {n: b1 * moments["m"][n] + (1 - b1) * g[n] for n in g}
        v = {n: b2 * moments["v"][n] + (1 - b2) * jnp.square(g[n]) for n in g}
        kept = {n: w * (1 - o["lr"] * o["decay"]) if w.ndim >= 2 else w for n, w in weights.items()}
        new = {n: w - o["lr"] * (m[n] / (1 - b1**t)) / (jnp.sqrt(v[n] / (1 - b2**t)) + 1e-8) for n, w in kept.items()}
        return new, stored, {"m": m, "v": v, "t": t}, loss

    zeros = lambda: {name: jnp.zeros_like(value) for name, value in weights.items()}
    moments = {"m": zeros(), "v": zeros(), "t": jnp.float32(0)} if adam else {"v": zeros()}
    state = [weights, stored, moments]
    run = jax.jit(update, donate_argnums=(0, 1, 2))

    def step():
        *state[:], loss = run(*state, inputs)
        return loss.block_until_ready()
    return step, float


def decode(weights, ids):
    """One compiled function for the prompt, one for a token; the cache has its final size, and is donated."""
    layers, heads, prompt = models.GPT2_LAYERS, models.GPT2_HEADS, ids.shape[1]
    total, split = prompt + models.TOKENS, lambda x: x.reshape(*x.shape[:2], heads, -1)

    def read(weights, cache, ids, at):
        ops, cache, layer = Ops(weights, False), list(cache), iter(range(layers))
        seen = jnp.arange(total) <= at + jnp.arange(ids.shape[1])[:, None]

        def attention(q, k, v):
            i = next(layer)
            for j, new in enumerate((k, v)):
                cache[2 * i + j] = lax.dynamic_update_slice(cache[2 * i + j], split(new), (0, at, 0, 0))
            k, v = cache[2 * i : 2 * i + 2]
            s = jnp.einsum("bqhd,bkhd->bhqk", split(q), k) * k.shape[-1] ** -0.5
            return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(jnp.where(seen, s, -1e30), -1), v).reshape(q.shape)
        rows = lax.dynamic_slice_in_dim(weights["wpe"], at, ids.shape[1])
        return jnp.argmax(models.gpt_next(ops, ids, rows, attention), -1, keepdims=True), cache

    run = jax.jit(read, donate_argnums=1)
    state = [jnp.zeros((1, total, heads, weights["wte"].shape[1] // heads), jnp.float32) for _ in range(2 * layers)]

    def call(ids, at):
        token, state[:] = run(weights, state, ids, jnp.int32(at))
        return token
    return (lambda: call(ids, 0).block_until_ready(), lambda token, i: call(token, prompt + i)), lambda token: int(token[0, 0])
