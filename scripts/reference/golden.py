#!/usr/bin/env python3
"""Makes tests/golden/*.json: for every entry of the library a row of inputs, outputs and gradients, by PyTorch in f64.

    python3 -m venv env
    env/bin/pip install -r scripts/reference/golden-requirements.txt
    env/bin/python scripts/reference/golden.py

tests/golden.rs runs the rows and fails if an entry of the library has none. Inputs are numbers of f32, so that both float types
have the same; what is only for one of them says so. What PyTorch has not is written as a formula, with a comment. The format is
described in tests/golden/README.md.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden"
MAX32 = float(np.finfo(np.float32).max)
MAX64 = float(np.finfo(np.float64).max)

# The corners of the activations, saturation of both float types, large, tiny and subnormal numbers. Where exp is subnormal itself,
# PyTorch's has few digits or none: 88, 110 and 700 keep off that.
MODERATE = [0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 3.5, 6.0, 6.5, 10.0, 20.0, 30.0, 50.0]
EXTREME = [88.0, 110.0, 700.0, 1e4, 1e30, MAX32, 1e-6, 1e-30, 1e-40, 2.0**-149]
WIDE = [1e200, MAX64, 1e-200, 1e-310, 2.0**-1074]  # for f64 only


def narrow(values):
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32).astype(np.float64)


def signed(values):
    return np.array([s * v for v in values for s in (1.0, -1.0)])


def noise(shape, seed=1, scale=1.0):
    return narrow(scale * np.random.default_rng(seed).standard_normal(shape))


def weights(shape):
    """Distinct cotangents, between 0.5 and 1, so that nothing overflows."""
    count = int(np.prod(shape))
    return narrow(0.75 + 0.25 * np.sin(1.7 * np.arange(count) + 0.3)).reshape(shape)


def tensor(value):
    """A tensor as the rows hold it. Floats are written with all digits."""
    value = np.asarray(value)
    kinds = {"f": "float", "i": str(value.dtype).replace("int", "i"), "u": "u8", "b": "bool"}
    write = (lambda x: repr(float(x))) if value.dtype.kind == "f" else (lambda x: str(int(x)))
    return {"type": kinds[value.dtype.kind], "shape": list(value.shape), "values": " ".join(map(write, value.ravel()))}


class Rows(list):
    """The rows of one file."""

    def add(self, entry, kind, expr, **more):
        self.append({"entry": entry, "kind": kind, "expr": expr, **more})

    def function(self, entry, expr, f, inputs, params=None, floats=("f64", "f32"), by=None, kind="function", states=None):
        """A value and its gradients by the float inputs and parameters. `f` takes tensors by name, dots as underscores."""
        params = params or {}
        given = {n: np.asarray(x) for n, x in {**inputs, **params}.items()}
        given = {n: x.astype(np.float64) if x.dtype.kind == "f" else x for n, x in given.items()}
        tensors = {n: torch.tensor(x) for n, x in given.items()}
        by = [n for n, x in given.items() if x.dtype.kind == "f"] if by is None else by
        for name in by:
            tensors[name].requires_grad_(True)
        y = f(**{n.replace(".", "_"): t for n, t in tensors.items()})
        y, new = y if isinstance(y, tuple) else (y, {})
        row = {"floats": list(floats), "inputs": {n: tensor(given[n]) for n in inputs},
               "params": {n: tensor(given[n]) for n in params}, "output": tensor(y.detach().numpy())}
        if y.is_floating_point() and by and y.requires_grad:
            ct = weights(tuple(y.shape))
            row["cotangent"] = tensor(ct)
            grads = torch.autograd.grad((y * torch.tensor(ct)).sum(), [tensors[n] for n in by], allow_unused=True)
            row["gradients"] = {n: tensor((torch.zeros_like(tensors[n]) if g is None else g).numpy())
                                for n, g in zip(by, grads)}
        if states is not None:
            row["states"] = {n: tensor(v) for n, v in states.items()}
            row["new_states"] = {n: tensor(v.detach().numpy()) for n, v in new.items()}
        self.add(entry, kind, expr, **row)

    def elementwise(self, entry, expr, f, values=None, wide=True):
        """A function of single elements at its corners, in both float types and beyond f32 in f64."""
        values = signed(MODERATE + EXTREME) if values is None else np.asarray(values)
        self.function(entry, expr, lambda x: f(x), {"x": narrow(values)})
        self.function(entry, expr, lambda x: f(x), {"x": np.array([math.inf, -math.inf])})
        # the gradient at NaN is not compared
        self.function(entry, expr, lambda x: f(x), {"x": np.array([math.nan])}, by=[])
        if wide:
            self.function(entry, expr, lambda x: f(x), {"x": signed(WIDE)}, floats=("f64",))


def activations():
    rows = Rows()
    # without PyTorch's threshold, beyond which it returns x, an error of 1e-10 in f64
    rows.elementwise("softplus", "softplus(x)", lambda x: torch.logaddexp(x, torch.zeros_like(x)))
    rows.elementwise("softsign", "softsign(x)", F.softsign)
    rows.elementwise("silu", "silu(x)", F.silu)
    rows.elementwise("gelu", "gelu(x)", F.gelu)
    # PyTorch's own cancels in 1 + tanh(u) where x is negative; (1 + tanh(u)) / 2 is the logistic function of 2u
    rows.elementwise("gelu_tanh", "gelu_tanh(x)",
                     lambda x: x * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    rows.elementwise("leaky_relu", "leaky_relu(x)", F.leaky_relu)
    rows.elementwise("leaky_relu", "leaky_relu(x, slope: 0.25)", lambda x: F.leaky_relu(x, 0.25))
    rows.elementwise("elu", "elu(x)", F.elu)
    rows.elementwise("elu", "elu(x, alpha: 0.5)", lambda x: F.elu(x, 0.5))
    rows.elementwise("selu", "selu(x)", F.selu)
    rows.elementwise("relu6", "relu6(x)", F.relu6)
    # PyTorch's own have the sixth of f32 in f64, and overflow within
    rows.elementwise("hard_sigmoid", "hard_sigmoid(x)", lambda x: F.relu6(x + 3) / 6)
    rows.elementwise("hard_swish", "hard_swish(x)", lambda x: x * (F.relu6(x + 3) / 6))
    rows.elementwise("mish", "mish(x)", F.mish)
    rows.elementwise("clamp", "clamp(x, low: -1, high: 2)", lambda x: torch.clamp(x, -1, 2))
    x = np.concatenate([noise((4, 3)), narrow([[1e4, -1e4, 0], [1e30, 1e30, -1e30], [MAX32, -MAX32, 0], [0, 0, 0],
                        [-math.inf, 1, 2], [1e-30, -1e-30, 1e-40], [1000, -1e30, 1000], [88, -88, 110]])])
    for axis in (-1, 0):
        given = {"x": x if axis == -1 else x.T.copy()}
        rows.function("softmax", f"softmax(x, axis: {axis})", lambda x: F.softmax(x, axis), given)
        rows.function("log_softmax", f"log_softmax(x, axis: {axis})", lambda x: F.log_softmax(x, axis), given)
    for shape in ((2, 0), (0, 3), (0, 0)):
        rows.function("softmax", "softmax(x)", lambda x: F.softmax(x, -1), {"x": np.zeros(shape)})
        rows.function("log_softmax", "log_softmax(x)", lambda x: F.log_softmax(x, -1), {"x": np.zeros(shape)})
    return rows


def layers():
    rows = Rows()
    x, w, b = noise((3, 4)), noise((2, 4), 2), noise(2, 3)
    rows.function("linear", "linear(x, 2) as n", lambda x, n_weight, n_bias: F.linear(x, n_weight, n_bias),
                  {"x": x}, {"n.weight": w, "n.bias": b})
    rows.function("linear", "linear(x, 2, bias: false) as n", lambda x, n_weight: F.linear(x, n_weight),
                  {"x": noise((2, 3, 4))}, {"n.weight": w})
    rows.function("embedding", "embedding(i, 5, 3) as n", lambda i, n_weight: F.embedding(i, n_weight),
                  {"i": np.array([[0, 4], [4, 2]])}, {"n.weight": noise((5, 3))}, by=["n.weight"])
    rows.function("dropout", "dropout(x, p: 0.25)", lambda x: F.dropout(x, 0.25, training=False), {"x": x})
    rows.add("dropout", "dropout", "dropout(x, p: 0.25)", p=0.25, count=4096)
    x = noise((2, 4, 7, 6))
    rows.function("conv2d", "conv2d(x, 6, 3) as n", lambda x, n_weight, n_bias: F.conv2d(x, n_weight, n_bias),
                  {"x": x}, {"n.weight": noise((6, 4, 3, 3), 2), "n.bias": noise(6, 3)})
    rows.function("conv2d", "conv2d(x, 6, 3, stride: 2, padding: 2, dilation: 2, groups: 2, bias: false) as n",
                  lambda x, n_weight: F.conv2d(x, n_weight, None, 2, 2, 2, 2), {"x": x},
                  {"n.weight": noise((6, 2, 3, 3), 2)})
    # equal elements: the first one gets the gradient
    tied = narrow(np.floor(3 * noise((2, 2, 6, 6), 4)))
    for given in (x[:, :2], tied):
        rows.function("max_pool", "max_pool(x, 2)", lambda x: F.max_pool2d(x, 2), {"x": given})
        rows.function("max_pool", "max_pool(x, 3, stride: 2, padding: 1)", lambda x: F.max_pool2d(x, 3, 2, 1),
                      {"x": given})
    rows.function("avg_pool", "avg_pool(x, 2)", lambda x: F.avg_pool2d(x, 2), {"x": x})
    rows.function("avg_pool", "avg_pool(x, 3, stride: 2, padding: 1)", lambda x: F.avg_pool2d(x, 3, 2, 1), {"x": x})
    rows.function("global_avg_pool", "global_avg_pool(x)", lambda x: x.mean((2, 3)), {"x": x})
    scale, shift = noise(4, 5), noise(4, 6)
    state = {"n.running_mean": noise(4, 7), "n.running_var": narrow(np.abs(noise(4, 8)) + 0.1)}
    both = {"n.weight": scale, "n.bias": shift}
    for given in (x, noise((5, 4), 9)):
        rows.function("batch_norm", "batch_norm(x) as n", lambda x, n_weight, n_bias: F.batch_norm(
            x, torch.tensor(state["n.running_mean"]), torch.tensor(state["n.running_var"]), n_weight, n_bias),
            {"x": given}, both, states=state)

        def trained(x, n_weight, n_bias):
            mean, var = (torch.tensor(state[f"n.running_{k}"]) for k in ("mean", "var"))
            y = F.batch_norm(x, mean, var, n_weight, n_bias, training=True)
            return y, {"n.running_mean": mean, "n.running_var": var}

        rows.function("batch_norm", "batch_norm(x) as n", trained, {"x": given}, both, kind="train", states=state)
    for given in (noise((3, 4), 1), narrow([[1, 1, 1, 1], [1e-20, 2e-20, 0, 0], [1e4, 1e4 + 1, 1e4 - 1, 1e4]])):
        rows.function("layer_norm", "layer_norm(x) as n", lambda x, n_weight, n_bias: F.layer_norm(
            x, (4,), n_weight, n_bias), {"x": given}, both)
        rows.function("rms_norm", "rms_norm(x) as n", lambda x, n_weight: F.rms_norm(x, (4,), n_weight, 1e-6),
                      {"x": given}, {"n.weight": scale})
    rows.function("layer_norm", "layer_norm(x, bias: false) as n", lambda x, n_weight: F.layer_norm(x, (4,), n_weight),
                  {"x": noise((2, 3, 4))}, {"n.weight": scale})
    for shape in ((3, 0), (0, 0)):
        rows.function("layer_norm", "layer_norm(x)", lambda x: x * 1, {"x": np.zeros(shape)})
        rows.function("rms_norm", "rms_norm(x)", lambda x: x * 1, {"x": np.zeros(shape)})
    rows.function("layer_norm", "layer_norm(x) as n", lambda x, n_weight, n_bias: F.layer_norm(x, (4,), n_weight, n_bias),
                  {"x": np.zeros((0, 4))}, both)
    rows.function("group_norm", "group_norm(x, 2) as n", lambda x, n_weight, n_bias: F.group_norm(
        x, 2, n_weight, n_bias), {"x": x}, both)
    return rows


def losses():
    rows = Rows()
    logits = np.concatenate([noise((4, 3)), narrow([[1e4, 0, 0], [0, 1e30, -1e30], [MAX32, -MAX32, 0], [0, 0, 0],
                            [1e-30, -1e-30, 0], [110, -110, 88]])])
    label = np.array([0, 1, 2, 2, 0, 1, 0, 2, 1, 0], np.int64)
    for dtype in (np.int64, np.int32):
        rows.function("cross_entropy", "cross_entropy(x, label)", lambda x, label: F.cross_entropy(x, label.long()),
                      {"x": logits, "label": label.astype(dtype)})
    # the same with two leading axes, and with none
    flat = lambda x, label: F.cross_entropy(x.reshape(-1, x.shape[-1]), label.reshape(-1))
    for x, chosen in ((logits.reshape(2, 5, 3), label.reshape(2, 5)), (logits[0], np.array(1))):
        rows.function("cross_entropy", "cross_entropy(x, label)", flat, {"x": x, "label": chosen})
    # classes that the logits rule out
    for large in (1e4, 1e30):
        rows.function("cross_entropy", "cross_entropy(x, label)", lambda x, label: F.cross_entropy(x, label),
                      {"x": narrow([[large, -large, 0]]), "label": np.array([1])})
    pairs = [(0, 0), (1, 0), (0, 1), (-1, 0), (1.5, 0.5), (3, -4), (0.5, 0.25), (1e-30, 0), (1e-40, -1e-40), (1e4, -1e4)]
    # one by one, since the largest of them all would hide the others in the mean
    huge = [(1e30, 0), (-1e30, 1), (MAX32, 0), (0, -MAX32), (MAX32, -MAX32)]
    for given in (pairs, *([pair] for pair in huge)):
        p, t = (narrow(side) for side in zip(*given))
        given = {"p": p, "t": t}
        rows.function("mse", "mse(p, t)", lambda p, t: F.mse_loss(p, t), given)
        rows.function("l1", "l1(p, t)", lambda p, t: F.l1_loss(p, t), given)
        rows.function("huber", "huber(p, t)", lambda p, t: F.huber_loss(p, t), given)
        rows.function("huber", "huber(p, t, delta: 0.5)", lambda p, t: F.huber_loss(p, t, delta=0.5), given,
                      # half of a difference that f32 cannot hold is a number of f32
                      floats=("f64",) if abs(p[0] - t[0]) > MAX32 else ("f64", "f32"))
    for extra in ([0.0], signed([1e4]), signed([1e30]), [MAX32], [-MAX32]):
        x = np.concatenate([signed([0.0, 0.5, 3, 20, 88, 110, 1e-30, 2.0**-149]), extra])
        for t in (0.0, 1.0, 0.25):
            rows.function("binary_cross_entropy", "binary_cross_entropy(x, t)",
                          lambda x, t: F.binary_cross_entropy_with_logits(x, t),
                          {"x": narrow(x), "t": np.full(len(x), t)})
    return rows


def metrics():
    """By formula: PyTorch itself has no metrics."""
    rows = Rows()
    logits, label = noise((6, 3)), np.array([0, 1, 2, 0, 1, 2], np.int32)
    rows.function("accuracy", "accuracy(x, label)", lambda x, label: (x.argmax(-1) == label).double().mean(),
                  {"x": logits, "label": label}, by=[])
    # of equal logits the first one counts
    ties = {"x": np.zeros((2, 3)), "label": np.array([0, 1], np.int32)}
    rows.function("accuracy", "accuracy(x, label)", lambda x, label: (x.argmax(-1) == label).double().mean(), ties, by=[])
    plain = {"x": logits, "label": label}
    leading = {"x": logits.reshape(2, 3, 3), "label": label.reshape(2, 3)}
    rows.function("accuracy", "accuracy(x, label)", lambda x, label: (x.argmax(-1) == label).double().mean(), leading, by=[])
    for k, given in [(k, given) for k in (1, 2, 3) for given in (plain, leading)] + [(1, ties), (2, ties)]:
        rows.function("top_k_accuracy", f"top_k_accuracy(x, label, {k})", lambda x, label: (
            torch.sort(x, -1, descending=True, stable=True).indices[..., :k] == label[..., None]).any(-1).double().mean(), given, by=[])
    for given in (plain, leading, ties):
        rows.function("perplexity", "perplexity(x, label)", lambda x, label: F.cross_entropy(
            x.reshape(-1, x.shape[-1]), label.reshape(-1).long()).exp(), given, by=[])
    x, t = narrow([0.0, 1e-30, -1.0, 2.0, -1e30, 3.0]), narrow([0, 1, 0, 0, 1, 1])
    rows.function("binary_accuracy", "binary_accuracy(x, t)",
                  lambda x, t: ((x > 0) == (t > 0.5)).double().mean(), {"x": x, "t": t}, by=[])
    p, t = noise(7, 1), noise(7, 2)
    given = {"p": p, "t": t}
    rows.function("mae", "mae(p, t)", lambda p, t: (p - t).abs().mean(), given, by=[])
    rows.function("rmse", "rmse(p, t)", lambda p, t: ((p - t) ** 2).mean().sqrt(), given, by=[])
    rows.function("rmse", "rmse(p, t)", lambda p, t: ((p - t) ** 2).mean().sqrt(), {"p": p, "t": p}, by=[])
    rows.function("max_error", "max_error(p, t)", lambda p, t: (p - t).abs().max(), given, by=[])
    of_two_classes(rows)
    rows.function("confusion", "confusion(x, label)", confusion, {"x": logits, "label": label}, by=[])
    rows.function("confusion", "confusion(x, label)", confusion,
                  {"x": np.zeros((2, 3)), "label": np.array([2, 1], np.int32)}, by=[])
    rows.function("confusion", "confusion(x, label)", confusion, leading, by=[])
    rows.function("r2", "r2(p, t)", r2, given, by=[])
    constant = np.full(4, 0.5)
    for target in (given["t"][:4], constant):
        for prediction in (constant, constant + 1):
            rows.function("r2", "r2(p, t)", r2, {"p": prediction, "t": target}, by=[])
    return rows


def of_two_classes(rows):
    """Precision, recall, their mean, and the area under the curve: at a logit of 0, of tiny and huge ones, of one class only."""
    def precision(x, t):
        taken = (x > 0).double().sum()
        return ((x > 0) & (t > 0.5)).double().sum() / taken if taken > 0 else torch.tensor(0.0).double()

    def recall(x, t):
        positive = (t > 0.5).double().sum()
        return ((x > 0) & (t > 0.5)).double().sum() / positive if positive > 0 else torch.tensor(0.0).double()

    def f1(x, t):
        p, r = precision(x, t), recall(x, t)
        return 2 * p * r / (p + r) if p + r > 0 else torch.tensor(0.0).double()

    def auc(x, t):
        positive, negative = x[t > 0.5], x[t <= 0.5]
        above, same = positive[:, None] > negative, positive[:, None] == negative
        return (above.double() + 0.5 * same.double()).sum() / (len(positive) * len(negative))

    mixed = narrow([0.0, 1e-30, -1.0, 2.0, -1e30, 3.0, 2.0, -0.0]), narrow([0, 1, 0, 0, 1, 1, 1, 1])
    none_taken = -np.ones(3), narrow([0, 1, 0])
    none_positive = np.ones(3), np.zeros(3)
    for entry, formula in (("precision", precision), ("recall", recall), ("f1", f1)):
        for x, t in (mixed, none_taken, none_positive, (-np.ones(2), np.zeros(2)), (np.ones(2), np.ones(2))):
            rows.function(entry, f"{entry}(x, t)", formula, {"x": x, "t": t}, by=[])
    separate = np.array([3.0, 2.0, -1.0, -2.0]), narrow([1, 1, 0, 0])
    for x, t in (mixed, separate, (-separate[0], separate[1]), (np.ones(3), narrow([0, 1, 0]))):
        rows.function("auc", "auc(x, t)", auc, {"x": x, "t": t}, by=[])


def confusion(x, label):
    classes = x.shape[-1]
    table = torch.zeros(classes, classes).double()
    for actual, taken in zip(label.long().ravel(), x.argmax(-1).ravel()):
        table[actual, taken] += 1
    return table


def r2(p, t):
    left, all_of_it = ((t - p) ** 2).sum(), ((t - t.mean()) ** 2).sum()
    return 1 - left / all_of_it if all_of_it > 0 else (left == 0).double()


def initial():
    """Bounds of the uniform and deviations of the normal distributions, as torch.nn.init computes them."""
    rows = Rows()
    shape, fan_in, fan_out = [96, 40], 40, 96
    gain = torch.nn.init.calculate_gain

    def uniform(entry, expr, bound):
        rows.add(entry, "initial", expr, shape=shape, low=-bound, high=bound)

    def normal(entry, expr, std, mean=0.0):
        rows.add(entry, "initial", expr, shape=shape, mean=mean, std=std)

    uniform("kaiming_uniform", "kaiming_uniform()", gain("relu") * math.sqrt(3 / fan_in))
    uniform("kaiming_uniform", "kaiming_uniform(a: sqrt(5))", gain("leaky_relu", math.sqrt(5)) * math.sqrt(3 / fan_in))
    normal("kaiming_normal", "kaiming_normal()", gain("relu") / math.sqrt(fan_in))
    normal("kaiming_normal", "kaiming_normal(a: 0.5)", gain("leaky_relu", 0.5) / math.sqrt(fan_in))
    normal("he", "he", gain("relu") / math.sqrt(fan_in))
    uniform("xavier_uniform", "xavier_uniform()", math.sqrt(6 / (fan_in + fan_out)))
    uniform("xavier_uniform", "xavier_uniform(gain: 2.0)", 2 * math.sqrt(6 / (fan_in + fan_out)))
    normal("xavier_normal", "xavier_normal(gain: 2.0)", 2 * math.sqrt(2 / (fan_in + fan_out)))
    uniform("glorot", "glorot", math.sqrt(6 / (fan_in + fan_out)))
    uniform("fan_uniform", "fan_uniform(16)", 1 / math.sqrt(16))
    rows.add("uniform", "initial", "uniform(-2, 3)", shape=shape, low=-2.0, high=3.0)
    normal("normal", "normal(mean: 1.0, std: 0.5)", 0.5, mean=1.0)
    return rows


def optimizers():
    rows = Rows()
    steps, count = 6, 5
    start = narrow([0.5, -1.5, 0.0, 2.0, 1e-3])
    slopes = noise((steps, count), 3)
    slopes[:, 2] *= 1e-4
    slopes[1, 0] = 0.0
    slopes = narrow(slopes)

    def trained(entry, expr, make):
        w = torch.nn.Parameter(torch.tensor(start))
        optimizer, seen = make([w]), []
        for g in slopes:
            w.grad = torch.tensor(g)
            optimizer.step()
            seen.append(w.detach().numpy().copy())
        rows.add(entry, "optimizer", expr, start=tensor(start), slopes=tensor(slopes), weights=tensor(np.array(seen)))

    O = torch.optim
    trained("sgd", "sgd(lr: 0.125)", lambda w: O.SGD(w, 0.125))
    trained("sgd", "sgd(lr: 0.125, momentum: 0.9)", lambda w: O.SGD(w, 0.125, momentum=0.9))
    trained("sgd", "sgd(lr: 0.125, momentum: 0.9, nesterov: true, decay: 0.25)",
            lambda w: O.SGD(w, 0.125, momentum=0.9, nesterov=True, weight_decay=0.25))
    trained("sgd", "sgd(lr: 0.125, decay: 0.25)", lambda w: O.SGD(w, 0.125, weight_decay=0.25))
    trained("adam", "adam(lr: 0.125)", lambda w: O.Adam(w, 0.125))
    trained("adam", "adam(lr: 0.125, beta1: 0.5, beta2: 0.75, eps: 1e-3, decay: 0.25)",
            lambda w: O.Adam(w, 0.125, (0.5, 0.75), 1e-3, 0.25))
    trained("adamw", "adamw(lr: 0.125)", lambda w: O.AdamW(w, 0.125))
    trained("adamw", "adamw(lr: 0.125, decay: 0.25)", lambda w: O.AdamW(w, 0.125, weight_decay=0.25))
    trained("rmsprop", "rmsprop(lr: 0.125)", lambda w: O.RMSprop(w, 0.125))
    trained("rmsprop", "rmsprop(lr: 0.125, alpha: 0.75, momentum: 0.9, decay: 0.25)",
            lambda w: O.RMSprop(w, 0.125, 0.75, momentum=0.9, weight_decay=0.25))
    return rows


def schedules():
    """The learning rate of each step; by formula, since PyTorch's schedules count epochs and have other starts."""
    rows, steps = Rows(), 12

    def schedule(entry, expr, f):
        rows.add(entry, "schedule", expr, steps=steps, rates=tensor(np.array([float(f(t)) for t in range(steps)])))

    def share(t, warmup=0):
        return min(max((t - warmup) / max(steps - warmup, 1), 0), 1)

    def cosine(t, warmup=0):
        return 0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi * share(t, warmup)))

    schedule("progress", "progress()", lambda t: t / steps)
    schedule("cosine", "cosine(1.0)", lambda t: 0.5 * (1 + math.cos(math.pi * share(t))))
    schedule("cosine", "cosine(1.0, low: 0.25, warmup: 3)", lambda t: (t + 1) / 3 if t < 3 else cosine(t, 3))
    schedule("linear_decay", "linear_decay(1.0)", lambda t: 1 - share(t))
    schedule("linear_decay", "linear_decay(1.0, low: 0.25, warmup: 3)",
             lambda t: (t + 1) / 3 if t < 3 else 1 - 0.75 * share(t, 3))
    schedule("step_decay", "step_decay(1.0, factor: 0.5, every: 5)", lambda t: 0.5 ** (t // 5))
    schedule("step_decay", "step_decay(1.0)", lambda t: 1.0)
    schedule("warm_up", "warm_up(1.0, warmup: 4)", lambda t: min((t + 1) / 4, 1))
    schedule("constant", "constant(0.5)", lambda t: 0.5)
    return rows


class Expm1(torch.autograd.Function):
    """expm1 with the derivative exp(x): PyTorch's own is expm1(x) + 1, which has no digits left for negative x."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.expm1(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * torch.exp(ctx.saved_tensors[0])


def elementwise():
    rows = Rows()
    simple = {"abs": torch.abs, # PyTorch has 0 at NaN
              "sign": lambda x: torch.where(x.isnan(), x, torch.sign(x)), "relu": torch.relu, "exp": torch.exp, "expm1": Expm1.apply,
              "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "tanh": torch.tanh,
              "sigmoid": torch.sigmoid, "erf": torch.erf, "floor": torch.floor, "ceil": torch.ceil,
              "round": torch.round, "stop_gradient": lambda x: torch.where(x == x, x.detach(), x)}
    for name, f in simple.items():
        rows.elementwise(name, f"{name}(x)", f)
    # infinite at both zeros, with a sign at -0 that is a matter of the formula
    rows.elementwise("rsqrt", "rsqrt(x)", torch.rsqrt, signed(MODERATE + EXTREME)[[0, *range(2, 48)]])
    # in f64 the argument is a multiple of no power of two that hides its rounding; beyond 1e30 the period is below an ulp
    for name, f in (("sin", torch.sin), ("cos", torch.cos)):
        rows.elementwise(name, f"{name}(x)", f, signed(MODERATE + [1e4, 1e6, 1e-6, 1e-30, 2.0**-149]), wide=False)
    a = narrow([1, -2, 0, 3, 1e30, 1e-30, MAX32, 0.5, 0, -0.0])
    b = narrow([2, 0.5, 1, 3, 1e-30, 1e30, 0.5, MAX32, 0, 0])
    for name, f in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div)):
        rows.function(name, f"{name}(x, y)", lambda x, y: f(x, y), {"x": a, "y": b})
    base = narrow([0, 0, 0, 0, 2, -2, -2, 3, 1, 0.5, 1e30, 1e-30, 0, 5, 1])
    power = narrow([0, 1, 2, 0.5, 3, 3, 2, 0, 7, -2, 1, 1, 3, 1, 0])
    rows.function("pow", "pow(x, y)", lambda x, y: torch.pow(x, y), {"x": base, "y": power})
    for p in (0, 1, 2, 3, 0.5):
        rows.function("pow", f"x ** {p}", lambda x: torch.pow(x, torch.full_like(x, p)),
                      {"x": narrow(signed(MODERATE + [1e4, 1e-6]))})
    for name, f in (("maximum", torch.maximum), ("minimum", torch.minimum)):
        rows.function(name, f"{name}(x, y)", lambda x, y: f(x, y), {"x": a, "y": b})
    # exact: PyTorch has no integers by 0
    x = np.array([7, -7, 7, -7, 6, -6, 0, 1, -1, 2**31 - 1, -2**31, -2**31])
    y = np.array([2, 2, -2, -2, -3, 3, 5, -3, 3, 2, 3, -2**31])
    for name, quotient in (("floor_div", lambda x, y: x // y), ("ceil_div", lambda x, y: -(-x // y))):
        for dtype in (np.int64, np.int32):
            rows.function(name, f"{name}(x, y)", lambda x, y: quotient(x.long(), y.long()).to(x.dtype),
                          {"x": x.astype(dtype), "y": y.astype(dtype)}, by=[])
    # what is not chosen does not matter, as if it were guarded: PyTorch itself gives NaN without the guard
    x = narrow([0, -0.0, 1, -1, 4, 0.25, -1e30, 1e-30, 1e30])
    one = torch.tensor(1.0, dtype=torch.float64)
    zero = torch.tensor(0.0, dtype=torch.float64)

    def guarded(f):
        return lambda x: torch.where(x > 0, f(torch.where(x > 0, x, one)), zero)

    rows.function("where", "where(x > 0, x, y)", lambda x, y: torch.where(x > 0, x, y), {"x": a, "y": b})
    for expr, f in (("sqrt(x)", torch.sqrt), ("log(x)", torch.log), ("rsqrt(x)", torch.rsqrt), ("1 / x", lambda x: 1 / x),
                    ("x * log(x)", lambda x: x * x.log()), ("x ** 0.5", lambda x: x ** 0.5),
                    ("exp(-1 / x)", lambda x: torch.exp(-1 / x)), ("log1p(sqrt(x))", lambda x: x.sqrt().log1p()),
                    ("-2 * (1 + sqrt(x))", lambda x: -2 * (1 + x.sqrt()))):
        rows.function("where", f"where(x > 0, {expr}, 0)", guarded(f), {"x": x[:8]})
    rows.function("where", "where(x < 0, 0, where(x > 0, sqrt(x), 0))", guarded(torch.sqrt), {"x": x[:8]})
    rows.function("where", "where(x < 50, exp(x), x)", lambda x: torch.where(x < 50, torch.exp(torch.where(x < 50, x, zero)), x),
                  {"x": narrow([0, 1, 49, 50, 1e4, 1e30, -1e30])})
    # through a broadcast: rows of zeros have no direction

    def direction(x):
        square = (x * x).sum(1, keepdim=True)
        some = square > 0
        return torch.where(some, x / torch.where(some, square, one).sqrt(), zero)

    rows.function("where", "where(sum(x * x, axis: 1, keep: true) > 0, x / sqrt(sum(x * x, axis: 1, keep: true)), 0)",
                  direction, {"x": narrow([[3, 4], [0, 0], [1, -1]])})
    whole = narrow([0, 1, -1, 2.5, -2.5, 255, 1e9])
    rows.function("float", "float(x)", lambda x: x.double(), {"x": np.array([0, 1, -5], np.int32)}, by=[])
    for name, to in (("i32", torch.int32), ("i64", torch.int64), ("int", torch.int64)):
        rows.function(name, f"{name}(x)", lambda x: x.to(to), {"x": whole}, by=[])
    rows.function("u8", "u8(x)", lambda x: x.to(torch.uint8), {"x": narrow([0, 1, 2.5, 255])}, by=[])
    rows.function("bool", "bool(x)", lambda x: x != 0, {"x": narrow([0, -0.0, 1, 1e-40, math.nan])}, by=[])
    # the other float type is not that of the cotangents
    rows.function("f32", "float(f32(x))", lambda x: x * 1, {"x": whole})
    rows.function("f64", "float(f64(x))", lambda x: x * 1, {"x": whole})
    return rows


def reductions():
    rows = Rows()
    x = np.concatenate([noise((3, 4)), narrow([[0, 2, 3, 0.5], [0, 0, 2, 1], [1e15, -1e15, 1, 1e-15], [5, 5, -5, -5]])])
    rows.function("sum", "sum(x, axis: 1)", lambda x: x.sum(1), {"x": x})
    rows.function("sum", "sum(x)", lambda x: x.sum(), {"x": noise((3, 50))})
    rows.function("sum", "sum(x, axis: 1)", lambda x: x.sum(1), {"x": np.zeros((2, 0))})
    rows.function("product", "product(x, axis: 1, keep: true)", lambda x: x.prod(1, keepdim=True), {"x": x})
    rows.function("product", "product(x, axis: 1)", lambda x: x.prod(1), {"x": np.zeros((2, 0))})
    # of equal elements the first one, as max over an axis has it in PyTorch
    for name in ("max", "min"):
        rows.function(name, f"{name}(x, axis: 1)", lambda x: getattr(x, name)(1).values, {"x": x})
        rows.function(name, f"{name}(x)", lambda x: getattr(x, name)(), {"x": noise((3, 4))})
        arg = f"arg{name}"
        rows.function(arg, f"{arg}(x, axis: 1)", lambda x: getattr(x, arg)(1), {"x": x}, by=[])
    rows.function("mean", "mean(x, axis: [0, 1])", lambda x: x.mean((0, 1)), {"x": noise((3, 4))})
    rows.function("mean", "mean(x, axis: 1, keep: true)", lambda x: x.mean(1, keepdim=True), {"x": x})
    rows.function("mean", "mean(x, axis: 1)", lambda x: x.mean(1), {"x": np.zeros((0, 0))})
    return rows


def shapes():
    rows = Rows()
    x, y = noise((2, 3, 4)), noise((2, 3, 4), 2)

    def moved(entry, expr, f, **inputs):
        rows.function(entry, expr, lambda **given: f(*given.values()), inputs or {"x": x})

    moved("reshape", "reshape(x, [4, -1])", lambda x: x.reshape(4, -1))
    moved("flatten", "flatten(x)", lambda x: x.flatten(1))
    moved("flatten", "flatten(x, start: 0)", lambda x: x.flatten(0))
    moved("transpose", "transpose(x, [2, 0, 1])", lambda x: x.permute(2, 0, 1))
    moved("squeeze", "squeeze(x, axis: 1)", lambda x: x.squeeze(1), x=noise((3, 1, 2)))
    moved("stack", "stack([x, y], axis: 1)", lambda x, y: torch.stack([x, y], 1), x=x, y=y)
    moved("concat", "concat([x, y], axis: 2)", lambda x, y: torch.cat([x, y], 2), x=x, y=y)
    moved("split", "split(x, 2, axis: 2)[1]", lambda x: x.split(2, 2)[1])
    moved("split", "split(x, [1, 3], axis: 2)[1]", lambda x: x.split([1, 3], 2)[1])
    moved("flip", "flip(x, axis: 1)", lambda x: x.flip(1))
    moved("pad", "pad(x, [0, 1, 2], [1, 0, 3], value: 9)", lambda x: F.pad(x, (2, 3, 1, 0, 0, 1), value=9.0))
    moved("broadcast", "broadcast(x, [5, 2, 3])", lambda x: x.expand(5, 2, 3), x=noise((2, 3)))
    moved("along", "x * along(v, x, axis: 1)", lambda x, v: x * v[None, :, None], x=x, v=noise(3, 3))
    # known when compiling, so by formula
    moved("shape", "x * shape(x)[1]", lambda x: x * 3)
    moved("rank", "x * rank(x)", lambda x: x * 3)
    moved("size", "x * size(x) + size(x, axis: 2)", lambda x: x * 24 + 4)
    moved("iota", "x * float(iota([2, 3, 4], axis: 1))", lambda x: x * torch.arange(3.0)[None, :, None])
    moved("zeros", "x * 1 + zeros([2, 3, 4])", lambda x: x * 1)
    moved("ones", "x * ones([2, 3, 4])", lambda x: x * 1)
    moved("full", "x * full(2.5, [2, 3, 4])", lambda x: x * 2.5)
    index = np.array([[2, 0], [2, 2]])
    rows.function("take", "take(x, i, axis: 1)", lambda x, i: x[:, i], {"x": x, "i": index}, by=["x"])
    rows.function("pick", "pick(x, i)", lambda x, i: x.gather(-1, i[:, None])[:, 0],
                  {"x": noise((4, 3)), "i": np.array([2, 0, 1, 2])}, by=["x"])
    image = noise((2, 3, 6))
    rows.function("convolve", "convolve(x, k, stride: 2, padding: 1)", lambda x, k: F.conv1d(x, k, None, 2, 1),
                  {"x": image, "k": noise((4, 3, 3), 2)})
    rows.function("window_max", "window_max(x, 3, stride: 1, padding: 1)", lambda x: F.max_pool1d(x, 3, 1, 1), {"x": image})
    rows.function("window_sum", "window_sum(x, 2)", lambda x: 2 * F.avg_pool1d(x, 2), {"x": image})
    rows.add("uniform", "random", "uniform(-1, 3, shape: [4096])", shape=[4096], low=-1.0, high=3.0)
    rows.add("normal", "random", "normal(mean: 2.0, std: 0.5, shape: [4096])", shape=[4096], mean=2.0, std=0.5)
    # lists are known when compiling, so by formula
    moved("range", "x * sum(range(2, 5)) + len(range(4))", lambda x: x * 9 + 4)
    moved("enumerate", "x * enumerate([5, 7])[1][0]", lambda x: x * 1)
    moved("zip", "x * zip([5, 7], [2, 3])[1][1]", lambda x: x * 3)
    moved("reversed", "x * reversed([5, 7])[0]", lambda x: x * 7)
    moved("len", "x * len([5, 7, 9])", lambda x: x * 3)
    # when one of them comes, its row fails and is to be written
    for name in ("grad", "attend", "positions", "window", "images", "corpus"):
        rows.add(name, "later", f"{name}()")
    return rows


FILES = {"activations": activations, "layers": layers, "losses": losses, "metrics": metrics, "initial": initial,
         "optimizers": optimizers, "schedules": schedules, "elementwise": elementwise, "reductions": reductions,
         "shapes": shapes}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        lines = ",\n".join(json.dumps(row) for row in make())
        (OUT / f"{name}.json").write_text(f"[\n{lines}\n]\n")
        print(f"tests/golden/{name}.json: {lines.count(chr(10)) + 1} rows")


if __name__ == "__main__":
    main()
