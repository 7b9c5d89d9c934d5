"""LiteRT (TensorFlow Lite) with XNNPACK, f32: `litert`. Inference and decoding only. Of a generated text there are two files: one reads the
prompt and gives the cache; one reads a token with the cache before, and gives what is to be added to it."""

import os

import numpy as np

import models


def version(peer):
    from importlib.metadata import version
    return version("ai-edge-litert")


def files(workload, options):
    parts = ("prefill", "next") if workload.decode else ("",)
    return [os.path.join(options.data, ".".join(filter(None, (workload.name, part, "peers.tflite")))) for part in parts]


def load_input(value):
    if value.ndim == 4:
        value = value.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(value if value.dtype != np.int64 else value.astype(np.int32))


def export(workload, weights, inputs, options):
    from litert_ops import Ops

    inputs = {name: load_input(value) for name, value in inputs.items()}
    if workload.decode:
        prefill, step = files(workload, options)
        export_prefill(Ops(weights), inputs["ids"].shape, prefill)
        export_next(Ops(weights), inputs["ids"].shape[1] + models.TOKENS, step)
        return
    ops = Ops(weights)
    given = [ops.tensor(value.shape, value.dtype, name) for name, value in inputs.items()]
    ops.write(files(workload, options)[0], given, [workload.run(ops, *given)])


def export_prefill(ops, shape, path):
    ids, new = ops.tensor(shape, np.int32, "ids"), []

    def attention(q, k, v):
        q, k, v = (ops.heads(x, models.GPT2_HEADS) for x in (q, k, v))
        new.extend((k, v))
        return ops.attend(q, k, v, causal=True)
    scores = models.gpt_next(ops, ids, ops.rows("wpe", shape[1]), attention)
    ops.write(path, [ids], [ops.argmax(scores), *new])


def export_next(ops, rows, path):
    """`seen`: 0 for the rows of the cache that are filled, and for the token itself; a large negative number for all others."""
    heads, width = models.GPT2_HEADS, ops.weights["wte"].shape[1] // models.GPT2_HEADS
    token, position = (ops.tensor((1, 1), np.int32, name) for name in ("token", "position"))
    seen = ops.tensor((1, 1, 1, rows + 1), name="seen")
    past = [ops.tensor((1, heads, rows, width), name=f"past{i}") for i in range(2 * models.GPT2_LAYERS)]
    new = []

    def attention(q, k, v):
        q, k, v = (ops.heads(x, heads) for x in (q, k, v))
        past_k, past_v = past[len(new) : len(new) + 2]
        new.extend((k, v))
        q = q * width**-0.5
        s = ops.joined_last(ops.matmul(q, past_k, transposed=True), ops.matmul(q, k, transposed=True))
        s = ops.softmax(s + seen)
        of_past, own = (ops.slice(s, (0, 0, 0, begin), (1, heads, 1, count)) for begin, count in ((0, rows), (rows, 1)))
        return ops.joined(ops.matmul(of_past, past_v) + own * v)
    scores = models.gpt_next(ops, token, ops.take("wpe", position), attention)
    ops.write(path, [token, position, seen, *past], [ops.argmax(scores), *new])


def interpreter_of(path, threads):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def build(workload, weights, inputs, target, options):
    if workload.trains:
        raise NotImplementedError("inference only")
    interpreters = [interpreter_of(path, options.threads) for path in files(workload, options)]
    inputs = {name: load_input(value) for name, value in inputs.items()}
    if workload.decode:
        return decode(*interpreters, inputs["ids"])
    (interpreter,) = interpreters
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    output = interpreter.get_output_details()[0]["index"]

    def call():
        interpreter.invoke()
        return interpreter
    return call, lambda interpreter: interpreter.get_tensor(output)


def decode(prefill, step, ids):
    """The cache is the memory of the second file's inputs, into which rows are copied."""
    token, position, seen, *past = (detail["index"] for detail in step.get_input_details())
    outputs = lambda interpreter: [detail["index"] for detail in interpreter.get_output_details()]
    (first, *prompt_rows), (following, *rows) = outputs(prefill), outputs(step)
    (of_ids,), prompt = [detail["index"] for detail in prefill.get_input_details()], ids.shape[1]

    def add(interpreter, rows, at):
        for cache, row in zip(past, rows):
            new = interpreter.tensor(row)()
            step.tensor(cache)()[:, :, at : at + new.shape[2]] = new

    def start():
        prefill.set_tensor(of_ids, ids)
        prefill.invoke()
        hidden = np.full(step.tensor(seen)().shape, -1e9, np.float32)
        hidden[..., :prompt] = hidden[..., -1] = 0.0
        step.set_tensor(seen, hidden)
        for cache in past:
            step.tensor(cache)()[...] = 0.0
        add(prefill, prompt_rows, 0)
        return prefill.get_tensor(first).item()

    def next_token(last, i):
        step.set_tensor(token, np.array([[last]], np.int32))
        step.set_tensor(position, np.array([[prompt + i]], np.int32))
        step.invoke()
        add(step, rows, prompt + i)
        step.tensor(seen)()[..., prompt + i] = 0.0
        return step.get_tensor(following).item()
    return (start, next_token), int
