"""The models of the workloads, each written once over the operations `o` of a system: `o.linear("fc", x)` applies the layer whose weights
are `fc.weight` and `fc.bias`. They are those of `../models/`, and no framework is imported here."""

import dataclasses


def mlp(o, x):
    for name in ("fc1", "fc2"):
        x = o.relu(o.linear(name, x))
    return o.linear("fc3", x)


def lenet(o, x):
    for name in ("c1", "c2"):
        x = o.max_pool(o.relu(o.conv(name, x)), 2, 2, 0)
    return o.linear("fc2", o.relu(o.linear("fc1", o.flatten(x))))


def resnet(o, x, blocks, deep=False, small=False):
    """`deep`: blocks of three convolutions; `small`: for small images, without pooling."""
    bn = lambda name, x: o.batch_norm(name, x)
    x = o.relu(bn("stem.bn", o.conv("stem", x, 1, 1) if small else o.conv("stem", x, 2, 3)))
    if not small:
        x = o.max_pool(x, 3, 2, 1)
    for i, count in enumerate(blocks):
        for j in range(count):
            at, stride = f"l{i + 1}.{j}.", 2 if i > 0 and j == 0 else 1
            if deep:
                y = o.relu(bn(at + "bn1", o.conv(at + "c1", x)))
                y = o.relu(bn(at + "bn2", o.conv(at + "c2", y, stride, 1)))
                y = bn(at + "bn3", o.conv(at + "c3", y))
            else:
                y = o.relu(bn(at + "bn1", o.conv(at + "c1", x, stride, 1)))
                y = bn(at + "bn2", o.conv(at + "c2", y, 1, 1))
            if o.has(at + "down.weight"):
                x = bn(at + "down.bn", o.conv(at + "down", x, stride))
            x = o.relu(x + y)
    return o.linear("fc", o.mean_of_image(x))


def inverted(o, x, stages, activation, gated):
    """MobileNetV2 and EfficientNet: stages of (expansion, kernel, stride, channels, repetitions)."""
    x = activation(o.batch_norm("stem.bn", o.conv("stem", x, 2, 1)))
    channels, k = 32, 0
    for expand, kernel, stride, out, count in stages:
        for j in range(count):
            at, step, y = f"b{k}.", stride if j == 0 else 1, x
            if expand != 1:
                y = activation(o.batch_norm(at + "exp.bn", o.conv(at + "exp", y)))
            y = o.conv(at + "dw", y, step, kernel // 2, groups=channels * expand)
            y = activation(o.batch_norm(at + "dw.bn", y))
            if gated:
                gate = o.silu(o.conv(at + "se1", o.mean_of_image(y, keep=True)))
                y = y * o.sigmoid(o.conv(at + "se2", gate))
            y = o.batch_norm(at + "proj.bn", o.conv(at + "proj", y))
            x = x + y if step == 1 and channels == out else y
            channels, k = out, k + 1
    x = activation(o.batch_norm("head.bn", o.conv("head", x)))
    return o.linear("fc", o.mean_of_image(x))


MOBILE = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 3, 2, 32, 3), (6, 3, 2, 64, 4), (6, 3, 1, 96, 3), (6, 3, 2, 160, 3), (6, 3, 1, 320, 1)]
EFFICIENT = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]


def bert(o, ids):
    x = o.take("tok", ids) + (o.rows("pos", ids.shape[1]) + o.rows("typ", 1))
    x = o.layer_norm("emb.ln", x, 1e-12)
    for i in range(12):
        at = f"h{i}."
        q, k, v = (o.linear(at + name, x) for name in "qkv")
        x = o.layer_norm(at + "ln1", x + o.linear(at + "o", o.attention(q, k, v, 12, causal=False)), 1e-12)
        x = o.layer_norm(at + "ln2", x + o.linear(at + "f2", o.gelu(o.linear(at + "f1", x))), 1e-12)
    return x


def gpt_block(o, at, x, attention):
    q, k, v = o.thirds(o.linear(at + "qkv", o.layer_norm(at + "ln1", x, 1e-5)))
    x = x + o.linear(at + "o", attention(q, k, v))
    return x + o.linear(at + "f2", o.gelu_tanh(o.linear(at + "f1", o.layer_norm(at + "ln2", x, 1e-5))))


def gpt(o, ids, layers, heads, last):
    x = o.take("wte", ids) + o.rows("wpe", ids.shape[1])
    for i in range(layers):
        x = gpt_block(o, f"h{i}.", x, lambda q, k, v: o.attention(q, k, v, heads, causal=True))
    x = o.layer_norm("lnf", x, 1e-5)
    return o.logits("wte", x[:, -1] if last else x)


GPT2_LAYERS, GPT2_HEADS, TOKENS = 12, 12, 64


def gpt_next(o, ids, positions, attention):
    """The scores of the token after a text. `positions`: their rows of `wpe`; `attention` has the cache, and is called layer by layer."""
    x = o.take("wte", ids) + positions
    for i in range(GPT2_LAYERS):
        x = gpt_block(o, f"h{i}.", x, attention)
    return o.logits("wte", o.layer_norm("lnf", x, 1e-5)[:, -1])


ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "decay": 0.0}
ADAMW = {"lr": 3e-4, "betas": (0.9, 0.99), "decay": 0.1}  # of matrices only


@dataclasses.dataclass
class Workload:
    name: str
    run: object
    model: str = ""  # names the file of weights
    optimizer: dict = None  # of a training
    loss: str = "cross_entropy"
    momentum: float = 0.9
    decode: bool = False

    @property
    def trains(self):
        return self.optimizer is not None


def _all():
    yield from (Workload(f"ew_{n}", lambda o, x, w, b, r: o.gelu_tanh(x * w + b) + r) for n in ("16k", "1m", "16m"))
    yield Workload("softmax_4096x768", lambda o, x: o.softmax(x))
    yield Workload("layernorm_4096x768", lambda o, x: o.layer_norm("ln", x, 1e-5))
    yield from (Workload(f"gemm_{n}", lambda o, a, b: a @ b) for n in (512, 1024, 2048))
    yield Workload("gemm_bias_gelu", lambda o, x: o.gelu_tanh(o.linear("fc", x)))
    yield Workload("gemv", lambda o, x: o.linear("fc", x))
    yield Workload("mlp_infer", mlp, "mlp")
    yield Workload("mlp_train", mlp, "mlp", ADAM)
    yield Workload("lenet_infer", lenet, "lenet")
    yield Workload("lenet_train", lenet, "lenet", {"lr": 0.01})
    yield Workload("resnet18", lambda o, x: resnet(o, x, (2, 2, 2, 2)))
    yield Workload("resnet50", lambda o, x: resnet(o, x, (3, 4, 6, 3), deep=True))
    yield Workload("mobilenet_v2", lambda o, x: inverted(o, x, MOBILE, o.relu6, gated=False))
    yield Workload("efficientnet_b0", lambda o, x: inverted(o, x, EFFICIENT, o.silu, gated=True))
    yield Workload("resnet18_cifar_train", lambda o, x: resnet(o, x, (2, 2, 2, 2), small=True), "resnet18_cifar", {"lr": 0.002})
    for kind in ("lstm", "gru"):
        run = lambda o, x, kind=kind: o.linear("fc", o.recurrent(kind, x))
        yield Workload(kind + "_infer", run, kind)
        yield Workload(kind + "_train", run, kind, ADAM, loss="mse")
    yield Workload("bert_base", bert)
    yield Workload("gpt2_prefill", lambda o, ids: gpt(o, ids, 12, 12, last=True), "gpt2")
    yield Workload("gpt2_decode", None, "gpt2", decode=True)
    yield Workload("nanogpt_train", lambda o, ids: gpt(o, ids, 6, 6, last=False), "nanogpt", ADAMW)


WORKLOADS = {w.name: dataclasses.replace(w, model=w.model or w.name) for w in _all()}
