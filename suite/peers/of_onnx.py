"""Systems that read ONNX: `ort` (ONNX Runtime) and `openvino`, both f32 throughout. Inference and decoding only. The files are what PyTorch
exports of the same models; they are made in a process of their own when they are missing. A generated text has two: one reads the prompt
and gives the cache, `nk0, nv0, …`; one reads a token, its position and the cache before, `pk0, pv0, …`, and gives the longer one."""

import os

import numpy as np

import models


def files(workload, options):
    parts = ("prefill", "next") if workload.decode else ("",)
    return [os.path.join(options.data, ".".join(filter(None, (workload.name, part, "peers.onnx")))) for part in parts]


def export(workload, weights, inputs, options):
    import of_torch
    import torch

    ops = of_torch.Ops(workload.run, weights, False).eval()
    given = tuple(torch.from_numpy(value) for value in inputs.values())
    modules = decoding(ops, given[0]) if workload.decode else [(ops, given, list(inputs), ["y"], {})]
    for path, (module, given, names, outputs, sizes) in zip(files(workload, options), modules):
        temporary = path + ".new"
        with torch.no_grad():
            torch.onnx.export(module, given, temporary, input_names=names, output_names=outputs, dynamic_axes=sizes, opset_version=17, dynamo=False)
        os.replace(temporary, path)


def cache(letter):
    return [f"{letter}{part}{i}" for i in range(models.GPT2_LAYERS) for part in "kv"]


def decoding(ops, ids):
    """The two modules of a generated text, with examples of their arguments and the names of these and of the results."""
    import torch

    def read(ids, position, past=None):
        new = []

        def attention(q, k, v):
            q, k, v = (ops.heads(x, models.GPT2_HEADS) for x in (q, k, v))
            if past is not None:
                k, v = (torch.cat([past[len(new) + i], x], 2) for i, x in enumerate((k, v)))
            new.extend((k, v))
            return ops.attend(q, k, v, past is None)
        return models.gpt_next(ops, ids, position, attention).argmax(-1, keepdim=True), *new

    class Prefill(torch.nn.Module):
        ops = None

        def forward(self, ids):
            return read(ids, ops.rows("wpe", ids.shape[1]))

    class Next(torch.nn.Module):
        def forward(self, tok, pos, *past):
            return read(tok, ops.take("wpe", pos), past)

    prefill, step = Prefill(), Next()
    prefill.ops = step.ops = ops
    prompt = ids.shape[1]
    width = ops.w("wte").shape[1] // models.GPT2_HEADS
    past = [torch.zeros(1, models.GPT2_HEADS, prompt, width) for _ in cache("p")]
    longer = {name: {2: "past"} for name in cache("p")} | {name: {2: "total"} for name in cache("n")}
    given = (torch.zeros(1, 1, dtype=torch.int64), torch.tensor([prompt]), *past)
    return [(prefill, (ids,), ["ids"], ["next", *cache("n")], {}), (step, given, ["tok", "pos", *cache("p")], ["next", *cache("n")], longer)]


def build(workload, weights, inputs, target, options):
    if workload.trains:
        raise NotImplementedError("inference only")
    peer = {"ort": (ort, ort_decode), "openvino": (openvino, openvino_decode)}[options.peer][workload.decode]
    return peer(*files(workload, options), inputs, options.threads)


def version(peer):
    if peer == "ort":
        import onnxruntime
        return onnxruntime.__version__
    import openvino
    return openvino.__version__


def ort_session(path, threads):
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3
    return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def ort(path, inputs, threads):
    import onnxruntime as ort

    session = ort_session(path, threads)
    # inputs and the output stay where they are
    binding = session.io_binding()
    values = {name: ort.OrtValue.ortvalue_from_numpy(value) for name, value in inputs.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    binding.bind_output("y")

    def first():
        session.run_with_iobinding(binding)
        output = binding.get_outputs()[0]
        binding.bind_ortvalue_output("y", output)
        state.update(output=output, call=again)
        return output

    def again():
        session.run_with_iobinding(binding)
        return state["output"]
    state = {"call": first, "values": values}
    return (lambda: state["call"]()), lambda y: y.numpy()


def ort_decode(prefill, step, inputs, threads):
    import onnxruntime as ort

    prefill, step = ort_session(prefill, threads), ort_session(step, threads)
    value, prompt = ort.OrtValue.ortvalue_from_numpy, inputs["ids"].shape[1]
    ids, positions = value(inputs["ids"]), [value(np.array([prompt + i])) for i in range(models.TOKENS)]
    outputs, past = ["next", *cache("n")], {}

    def read(session, given):
        token, *new = session.run_with_ort_values(outputs, given)
        past.update(zip(cache("p"), new))
        return token
    start = lambda: read(prefill, {"ids": ids})
    return (start, lambda token, i: read(step, {"tok": token, "pos": positions[i], **past})), lambda token: token.numpy().item()


def openvino_request(model, threads):
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY", "PERFORMANCE_HINT": "LATENCY",
                "KV_CACHE_PRECISION": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    return ov.Core().compile_model(model, "CPU", settings).create_infer_request()


def openvino(path, inputs, threads):
    import openvino as ov

    request = openvino_request(path, threads)
    for name, value in inputs.items():
        request.set_tensor(name, ov.Tensor(value, shared_memory=True))

    def call():
        request.infer()
        return request
    return call, lambda request: np.array(request.get_output_tensor(0).data)


def openvino_decode(prefill, step, inputs, threads):
    """The cache is a state of the second model, which OpenVINO keeps in its own form."""
    import openvino as ov
    from openvino._offline_transformations import apply_make_stateful_transformation

    prefill = openvino_request(prefill, threads)
    step = ov.Core().read_model(step)
    apply_make_stateful_transformation(step, dict(zip(cache("p"), cache("n"))))
    step = openvino_request(step, threads)
    states = {name: state for state in step.query_state() for name in cache("p") if state.name.startswith(name + "n")}
    ids, prompt = ov.Tensor(inputs["ids"], shared_memory=True), inputs["ids"].shape[1]
    positions = [ov.Tensor(np.array([prompt + i])) for i in range(models.TOKENS)]
    token = lambda request: ov.Tensor(np.array(request.get_tensor("next").data).reshape(1, 1))

    def start():
        prefill.set_tensor("ids", ids)
        prefill.infer()
        step.reset_state()
        for name, state in states.items():
            state.state = prefill.get_tensor("n" + name[1:])
        return token(prefill)

    def next_token(last, i):
        step.set_tensor("tok", last)
        step.set_tensor("pos", positions[i])
        step.infer()
        return token(step)
    return (start, next_token), lambda token: token.data.item()
