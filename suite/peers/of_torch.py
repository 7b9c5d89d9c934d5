"""PyTorch: `torch` is eager, `torch-compile` the compiler with static shapes. Fused optimisers in both."""

import torch
import torch.nn.functional as F

import models

def version(peer):
    return torch.__version__


class Ops(torch.nn.Module):
    """The operations, with the weights, which an exporter and a compiler find as those of a module."""

    def __init__(self, run, weights, trains):
        super().__init__()
        self.run, self.trains, self.names = run, trains, set(weights)
        for name, value in weights.items():
            tensor = torch.from_numpy(value)
            if name.rsplit(".", 1)[-1].startswith("running_"):
                self.register_buffer(name.replace(".", "__"), tensor)
            else:
                self.register_parameter(name.replace(".", "__"), torch.nn.Parameter(tensor, requires_grad=trains))

    def forward(self, *inputs):
        return self.run(self, *inputs)

    def has(self, name):
        return name in self.names

    def w(self, name):
        return getattr(self, name.replace(".", "__")) if name in self.names else None

    relu, relu6, silu, gelu = map(staticmethod, (F.relu, F.relu6, F.silu, F.gelu))
    sigmoid = staticmethod(torch.sigmoid)
    gelu_tanh = staticmethod(lambda x: F.gelu(x, approximate="tanh"))
    softmax = staticmethod(lambda x: torch.softmax(x, -1))
    flatten = staticmethod(lambda x: x.flatten(1))
    max_pool = staticmethod(F.max_pool2d)
    thirds = staticmethod(lambda x: x.chunk(3, -1))

    def mean_of_image(self, x, keep=False):
        y = F.adaptive_avg_pool2d(x, 1)
        return y if keep else y.flatten(1)

    def linear(self, name, x):
        return F.linear(x, self.w(name + ".weight"), self.w(name + ".bias"))

    def conv(self, name, x, stride=1, padding=0, groups=1):
        return F.conv2d(x, self.w(name + ".weight"), self.w(name + ".bias"), stride, padding, 1, groups)

    def batch_norm(self, name, x):
        of = [self.w(f"{name}.{part}") for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *of, self.trains, 0.1, 1e-5)

    def layer_norm(self, name, x, eps):
        return F.layer_norm(x, x.shape[-1:], self.w(name + ".weight"), self.w(name + ".bias"), eps)

    def take(self, name, ids):
        return F.embedding(ids, self.w(name))

    def rows(self, name, count):
        return self.w(name)[:count]

    def logits(self, name, x):
        return F.linear(x, self.w(name))

    def heads(self, x, heads):
        return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

    def attend(self, q, k, v, causal):
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)

    def attention(self, q, k, v, heads, causal):
        return self.attend(*(self.heads(x, heads) for x in (q, k, v)), causal)

    def recurrent(self, kind, x):
        weights = [self.w(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh")]
        zero = x.new_zeros(1, x.shape[0], 256)
        if kind == "lstm":
            return torch.lstm(x, (zero, zero), weights, True, 1, 0.0, self.trains, False, True)[1][0]
        return torch.gru(x, zero, weights, True, 1, 0.0, self.trains, False, True)[1][0]


def build(workload, weights, inputs, target, options):
    """A call, and what makes numbers of its result."""
    torch.set_num_threads(options.threads)
    if workload.decode:
        return decode(weights, torch.from_numpy(inputs["ids"]))
    inputs = [torch.from_numpy(value) for value in inputs.values()]
    ops = Ops(workload.run, weights, workload.trains)
    compiled = options.peer.startswith("torch-compile")
    if not workload.trains:
        run = torch.compile(ops, dynamic=False) if compiled else ops
        def call():
            with torch.no_grad() if compiled else torch.inference_mode():
                return run(*inputs)
        return call, lambda y: y.detach().numpy()
    target = torch.from_numpy(target)

    def loss_of(*inputs):
        y = ops(*inputs)
        if workload.loss == "mse":
            return F.mse_loss(y, target)
        return F.cross_entropy(y.reshape(-1, y.shape[-1]), target.reshape(-1))

    loss_of = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    optimizer = optimizer_of(workload, list(ops.parameters()))

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*inputs)
        loss.backward()
        optimizer.step()
        return loss
    return step, lambda loss: float(loss.detach())


def optimizer_of(workload, weights):
    o = workload.optimizer
    if "betas" not in o:
        return torch.optim.SGD(weights, lr=o["lr"], momentum=workload.momentum, fused=True)
    groups = [{"params": [w for w in weights if (w.dim() >= 2) == matrix], "weight_decay": o["decay"] if matrix else 0.0}
              for matrix in (True, False)]
    kind = torch.optim.AdamW if o["decay"] else torch.optim.Adam
    return kind([g for g in groups if g["params"]], lr=o["lr"], betas=o["betas"], fused=True)


def decode(weights, ids):
    """Eager; the cache is two tensors for each layer. The call gives the tokens, and the seconds of prompt and steps."""
    ops, layers, heads = Ops(None, weights, False), models.GPT2_LAYERS, models.GPT2_HEADS
    prompt = ids.shape[1]
    cache = torch.zeros(layers, 2, 1, heads, prompt + models.TOKENS, ops.w("wte").shape[1] // heads)

    @torch.inference_mode()
    def read(ids, at):
        end, layer = at + ids.shape[1], iter(cache)

        def attention(q, k, v):
            past = next(layer)
            past[0, :, :, at:end], past[1, :, :, at:end] = ops.heads(k, heads), ops.heads(v, heads)
            return ops.attend(ops.heads(q, heads), past[0, :, :, :end], past[1, :, :, :end], at == 0)
        return models.gpt_next(ops, ids, ops.w("wpe")[at:end], attention).argmax(-1, keepdim=True)
    return (lambda: read(ids, 0), lambda token, i: read(token, prompt + i)), int
