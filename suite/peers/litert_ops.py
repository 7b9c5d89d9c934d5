"""Files of LiteRT, written operator by operator over the description of a model, as converters write them: images as NHWC, batch norm folded
into convolutions, recurrences unrolled."""

import os

import numpy as np


class Value:
    """A tensor of the file; `conv`: its weights and bias if a convolution makes it, which a batch norm may still scale."""

    def __init__(self, file, index, shape, conv=None):
        self.file, self.index, self.shape, self.conv = file, index, tuple(shape), conv

    def __add__(self, other):
        return self.file.binary("ADD", self, other)

    def __mul__(self, other):
        return self.file.binary("MUL", self, other)

    def __sub__(self, other):
        return self.file.binary("SUB", self, other)

    def __matmul__(self, other):
        return self.file.matmul(self, other)

    def __getitem__(self, at):
        assert at == (slice(None), -1), "only the last row"
        batch, rows, width = self.shape
        return self.file.reshape(self.file.slice(self, (0, rows - 1, 0), (batch, 1, width)), (batch, width))


class Ops:
    """Operators of a file that is being written."""

    def __init__(self, weights):
        from ai_edge_litert import schema_py_generated as schema
        self.schema, self.weights = schema, weights
        self.tensors, self.operators, self.codes, self.constants, self.kept = [], [], {}, {}, {}

    # tensors

    def tensor(self, shape, dtype=np.float32, name=None, conv=None):
        tensor = self.schema.TensorT()
        tensor.shape, tensor.buffer = list(shape), 0
        tensor.type = {"float32": self.schema.TensorType.FLOAT32, "int32": self.schema.TensorType.INT32}[np.dtype(dtype).name]
        tensor.name = name or f"t{len(self.tensors)}"
        self.tensors.append(tensor)
        return Value(self, len(self.tensors) - 1, shape, conv)

    def constant(self, value, key=None):
        """A constant; one of a key is written once."""
        if key in self.kept:
            return self.kept[key]
        value = np.ascontiguousarray(value)
        made = self.tensor(value.shape, value.dtype)
        self.constants[made.index] = value
        if key is not None:
            self.kept[key] = made
        return made

    def ints(self, *values):
        return self.constant(np.array(values, np.int32), ("ints", values))

    def op(self, kind, inputs, shape, dtype=np.float32, conv=None, count=1, **options):
        """An operator, and its results; its options have their own names."""
        code = getattr(self.schema.BuiltinOperator, kind)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(code, len(self.codes))
        operator.inputs = [-1 if x is None else x.index for x in inputs]
        made = [self.tensor(shape, dtype, conv=conv) for _ in range(count)]
        operator.outputs = [x.index for x in made]
        table = options.pop("table", None)
        if table:
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(self.schema, table + "T")()
            for name, value in options.items():
                assert hasattr(operator.builtinOptions, name), name
                setattr(operator.builtinOptions, name, value)
        self.operators.append(operator)
        return made[0] if count == 1 else made

    def write(self, path, inputs, outputs):
        import flatbuffers
        s = self.schema
        graph, model = s.SubGraphT(), s.ModelT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = [x.index for x in inputs], [x.index for x in outputs]
        model.version, model.subgraphs, model.buffers = 3, [graph], [s.BufferT()]
        for index, value in self.constants.items():
            buffer = s.BufferT()
            buffer.data = value.reshape(-1).view(np.uint8)
            self.tensors[index].buffer = len(model.buffers)
            model.buffers.append(buffer)
        model.operatorCodes = []
        for code in self.codes:
            entry = s.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        with open(path + ".new", "wb") as file:
            file.write(builder.Output())
        os.replace(path + ".new", path)

    # what models are made of

    def has(self, name):
        return name in self.weights

    def w(self, name):
        return self.constant(self.weights[name], name)

    def unary(self, kind, x, **options):
        return self.op(kind, [x], x.shape, **options)

    def binary(self, kind, a, b):
        if not isinstance(b, Value):
            b = self.constant(np.float32(b), float(b))
        table = {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}[kind]
        return self.op(kind, [a, b], np.broadcast_shapes(a.shape, b.shape), table=table)

    def reshape(self, x, shape):
        return self.op("RESHAPE", [x, self.ints(*shape)], shape, table="ReshapeOptions", newShape=list(shape))

    def transpose(self, x, order):
        return self.op("TRANSPOSE", [x, self.ints(*order)], [x.shape[i] for i in order], table="TransposeOptions")

    def joined_last(self, *parts):
        shape = (*parts[0].shape[:-1], sum(x.shape[-1] for x in parts))
        return self.op("CONCATENATION", parts, shape, table="ConcatenationOptions", axis=len(shape) - 1)

    def argmax(self, x):
        return self.op("ARG_MAX", [x, self.ints(1)], (x.shape[0],), np.int32, table="ArgMaxOptions", outputType=self.schema.TensorType.INT32)

    def slice(self, x, begin, size):
        return self.op("SLICE", [x, self.ints(*begin), self.ints(*size)], size, table="SliceOptions")

    def split(self, x, count):
        shape = (*x.shape[:-1], x.shape[-1] // count)
        return self.op("SPLIT", [self.constant(np.int32(len(shape) - 1), ("axis", len(shape))), x], shape, count=count, table="SplitOptions", numSplits=count)

    def mean(self, x, *axes, keep=True):
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        return self.op("MEAN", [x, self.ints(*axes)], shape, table="ReducerOptions", keepDims=keep)

    def matmul(self, a, b, transposed=False):
        shape = (*a.shape[:-1], b.shape[-2 if transposed else -1])
        return self.op("BATCH_MATMUL", [a, b], shape, table="BatchMatMulOptions", adjY=transposed)

    relu = lambda self, x: self.unary("RELU", x)
    relu6 = lambda self, x: self.unary("RELU6", x)
    sigmoid = lambda self, x: self.unary("LOGISTIC", x)
    tanh = lambda self, x: self.unary("TANH", x)
    silu = lambda self, x: x * self.sigmoid(x)
    gelu = lambda self, x: self.unary("GELU", x, table="GeluOptions", approximate=False)
    gelu_tanh = lambda self, x: self.unary("GELU", x, table="GeluOptions", approximate=True)
    softmax = lambda self, x: self.unary("SOFTMAX", x, table="SoftmaxOptions", beta=1.0)
    thirds = lambda self, x: self.split(x, 3)

    def flatten(self, x):
        return self.reshape(self.transpose(x, (0, 3, 1, 2)), (x.shape[0], int(np.prod(x.shape[1:]))))

    def mean_of_image(self, x, keep=False):
        return self.mean(x, 1, 2, keep=keep)

    def padded(self, x, padding, value=None):
        """Padding of its own: that of the format is another one for strides above 1."""
        if padding == 0:
            return x
        shape = (x.shape[0], *(n + 2 * padding for n in x.shape[1:3]), x.shape[3])
        pads = self.constant(np.array([[0, 0], [padding] * 2, [padding] * 2, [0, 0]], np.int32), ("pads", padding))
        if value is None:
            return self.op("PAD", [x, pads], shape, table="PadOptions")
        return self.op("PADV2", [x, pads, self.constant(np.float32(value), value)], shape, table="PadV2Options")

    def max_pool(self, x, size, stride, padding):
        x = self.padded(x, padding, -3e38)
        shape = (x.shape[0], *((n - size) // stride + 1 for n in x.shape[1:3]), x.shape[3])
        return self.op("MAX_POOL_2D", [x], shape, table="Pool2DOptions", padding=1, strideW=stride, strideH=stride, filterWidth=size, filterHeight=size)

    def linear(self, name, x):
        bias = self.w(name + ".bias") if self.has(name + ".bias") else None
        return self.fully_connected(x, self.w(name + ".weight"), bias)

    def fully_connected(self, x, weight, bias=None):
        return self.op("FULLY_CONNECTED", [x, weight, bias], (*x.shape[:-1], weight.shape[0]), table="FullyConnectedOptions", keepNumDims=True)

    def conv(self, name, x, stride=1, padding=0, groups=1):
        weight = self.weights[name + ".weight"].transpose(0, 2, 3, 1)  # [out, height, width, in]
        out, size = weight.shape[0], weight.shape[1]
        bias = self.weights.get(name + ".bias", np.zeros(out, np.float32))
        same = stride == 1 and 2 * padding == size - 1
        x = x if same else self.padded(x, padding)
        shape = (x.shape[0], *(n if same else (n - size) // stride + 1 for n in x.shape[1:3]), out)
        options = {"padding": 0 if same else 1, "strideW": stride, "strideH": stride, "dilationWFactor": 1, "dilationHFactor": 1}
        if groups == 1:
            kind, options = "CONV_2D", options | {"table": "Conv2DOptions"}
        else:
            assert groups == out == x.shape[3], "depthwise only"
            kind, options, weight = "DEPTHWISE_CONV_2D", options | {"table": "DepthwiseConv2DOptions", "depthMultiplier": 1}, weight.transpose(3, 1, 2, 0)
        parts = self.constant(weight), self.constant(bias)
        return self.op(kind, [x, *parts], shape, conv=(*parts, 0 if groups == 1 else 3), **options)

    def batch_norm(self, name, x):
        """Folded into the convolution before it."""
        weight, bias, mean, var = (self.weights[f"{name}.{p}"] for p in ("weight", "bias", "running_mean", "running_var"))
        scale = weight / np.sqrt(var + np.float32(1e-5))
        (of_conv, of_bias, axis), constants = x.conv, self.constants
        shape = [-1 if i == axis else 1 for i in range(4)]
        constants[of_conv.index] = constants[of_conv.index] * scale.reshape(shape)
        constants[of_bias.index] = (constants[of_bias.index] - mean) * scale + bias
        return Value(self, x.index, x.shape)

    def layer_norm(self, name, x, eps):
        axis = len(x.shape) - 1
        d = x - self.mean(x, axis)
        return d * self.unary("RSQRT", self.mean(d * d, axis) + eps) * self.w(name + ".weight") + self.w(name + ".bias")

    def take(self, name, ids):
        return self.op("GATHER", [self.w(name), ids], (*ids.shape, *self.weights[name].shape[1:]), table="GatherOptions", axis=0)

    def rows(self, name, count):
        return self.constant(self.weights[name][:count], (name, count))

    def logits(self, name, x):
        return self.fully_connected(x, self.w(name))

    def heads(self, x, heads):
        return self.transpose(self.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads)), (0, 2, 1, 3))

    def joined(self, y):
        batch, heads, rows, width = y.shape
        return self.reshape(self.transpose(y, (0, 2, 1, 3)), (batch, rows, heads * width))

    def attend(self, q, k, v, causal):
        s = self.matmul(q * q.shape[-1] ** -0.5, k, transposed=True)
        if causal:
            s = s + self.constant(np.triu(np.full(s.shape[-2:], -1e9, np.float32), 1), ("causal", s.shape))
        return self.joined(self.matmul(self.softmax(s), v))

    def attention(self, q, k, v, heads, causal):
        return self.attend(*(self.heads(x, heads) for x in (q, k, v)), causal)

    def recurrent(self, kind, x):
        w, u, bx, bh = (self.w(name) for name in ("w_ih", "w_hh", "b_ih", "b_hh"))
        batch, time, _ = x.shape
        given = self.transpose(self.fully_connected(x, w, bx), (1, 0, 2))
        h = c = self.constant(np.zeros((batch, u.shape[1]), np.float32), "zero")
        for t in range(time):
            now = self.reshape(self.slice(given, (t, 0, 0), (1, batch, w.shape[0])), (batch, w.shape[0]))
            if kind == "lstm":
                i, f, g, o = self.split(now + self.fully_connected(h, u, bh), 4)
                c = self.sigmoid(f) * c + self.sigmoid(i) * self.tanh(g)
                h = self.sigmoid(o) * self.tanh(c)
            else:
                (xr, xz, xn), (hr, hz, hn) = self.split(now, 3), self.split(self.fully_connected(h, u, bh), 3)
                z, n = self.sigmoid(xz + hz), self.tanh(xn + self.sigmoid(xr + hr) * hn)
                h = n + z * (h - n)
        return h
