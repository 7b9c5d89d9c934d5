"""Systems that read ONNX: `ort` (ONNX Runtime) and `openvino`, both f32 throughout. Inference only. The file is what PyTorch exports of
the same model; it is made in a process of its own when it is missing."""

import os

import numpy as np


def path_of(workload, options):
    return os.path.join(options.data, f"{workload.name}.peers.onnx")


def export(workload, weights, inputs, options):
    import of_torch
    import torch

    ops = of_torch.Ops(workload.run, weights, False).eval()
    given = tuple(torch.from_numpy(value) for value in inputs.values())
    temporary = path_of(workload, options) + ".new"
    with torch.no_grad():
        torch.onnx.export(ops, given, temporary, input_names=list(inputs), output_names=["y"], opset_version=17, dynamo=False)
    os.replace(temporary, path_of(workload, options))


def build(workload, weights, inputs, target, options):
    if workload.trains or workload.decode:
        raise NotImplementedError("inference only")
    return (ort if options.peer == "ort" else openvino)(path_of(workload, options), inputs, options.threads)


def version(peer):
    if peer == "ort":
        import onnxruntime
        return onnxruntime.__version__
    import openvino
    return openvino.__version__


def ort(path, inputs, threads):
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = threads, 1
    settings.log_severity_level = 3
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
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


def openvino(path, inputs, threads):
    import openvino as ov

    settings = {"INFERENCE_PRECISION_HINT": "f32", "EXECUTION_MODE_HINT": "ACCURACY", "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(path, "CPU", settings).create_infer_request()
    for name, value in inputs.items():
        request.set_tensor(name, ov.Tensor(value, shared_memory=True))

    def call():
        request.infer()
        return request
    return call, lambda request: np.array(request.get_output_tensor(0).data)
