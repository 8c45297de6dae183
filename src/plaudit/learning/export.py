"""A trained network as ONNX, for scoring without torch. Knows the graph, and nothing of training.

The graph is written out by hand: it is a few nodes, the same for every torch version, and it gives each word's
evidence, whatever the number of reviews and of words. The embedding stays in weights.safetensors; the graph points
to it there. ``int8`` weights are one int8 row and one scale for each word and each gate (ONNX Runtime's
DynamicQuantizeLSTM), a quarter of the bytes that every word has to be multiplied by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save as to_safetensors

from plaudit.bundle.bundle import WEIGHTS
from plaudit.bundle.quantisation import int8_gates, int8_rows, largest
from plaudit.bundle.weights import EMBEDDING, SCALE
from plaudit.learning.network import LSTMS, Network

OPSET = 17
IR_VERSION = 8
MICROSOFT = "com.microsoft"
Arrays = dict[str, NDArray[Any]]
Singles = NDArray[np.float32]


def export(network: Network, int8: bool) -> tuple[bytes, bytes]:
    """weights.safetensors, and ONNX from ``ids`` (reviews, words) to ``evidence`` (reviews, words, units).

    With ``int8`` the embedding is rounded to int8 and the rest of weights.safetensors to float16.
    """
    kept = stored(network, int8)
    content = to_safetensors(kept)
    return content, _model(_Graph(int8), network, kept, _offsets(content)).SerializeToString()


def stored(network: Network, int8: bool) -> Arrays:
    """The tensors of that file by name."""
    values = {name: value for name, value in network.state_dict().items() if not name.startswith("others.")}
    values[EMBEDDING] = network.table
    weights: Arrays = {name: value.detach().float().cpu().numpy() for name, value in values.items()}
    return _rounded(weights) if int8 else weights


def export_table(table: NDArray[np.float32]) -> tuple[bytes, bytes]:
    """The same for a linear model: ``table`` (ids, units) is each id's evidence."""
    content = to_safetensors({EMBEDDING: table})
    graph = _Graph(False)
    graph.node("Gather", [EMBEDDING, "ids"], "evidence")
    return content, _finished(graph, {EMBEDDING: table}, _offsets(content)).SerializeToString()


def _rounded(weights: Arrays) -> Arrays:
    table = weights[EMBEDDING]
    quantised, scales = int8_rows(table)
    rest = {name: value.astype(np.float16) for name, value in weights.items() if name != EMBEDDING}
    return {EMBEDDING: quantised, SCALE: scales, **rest}


def restored(tensors: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    """The weights of a bundle as torch names them, in float32, however they are stored."""
    found = {name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items() if name != SCALE}
    if SCALE in tensors:
        found[EMBEDDING] *= torch.from_numpy(tensors[SCALE].astype(np.float32)).unsqueeze(1)
    return found


def _offsets(content: bytes) -> dict[str, tuple[int, int]]:
    """Where each tensor of a safetensors file begins, and its length, in bytes."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
    return {name: (start + begin, end - begin) for name, (begin, end) in spans.items()}


@dataclass
class _Graph:
    """Nodes and constants as they come together."""

    int8: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: Arrays = field(default_factory=dict)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def axes(self, *axes: int) -> str:
        return self.constant("axes_" + "_".join(map(str, axes)), np.array(axes, dtype=np.int64))


def _model(graph: _Graph, network: Network, weights: Arrays, offsets: dict[str, tuple[int, int]]) -> onnx.ModelProto:
    node, axes = graph.node, graph.axes
    vectors = node("Gather", [EMBEDDING, "ids"], "rows")
    if graph.int8:
        scales = node("Cast", [node("Gather", [SCALE, "ids"], "row_scales")], "scales", to=TensorProto.FLOAT)
        rows = node("Cast", [vectors], "float_rows", to=TensorProto.FLOAT)
        vectors = node("Mul", [rows, node("Unsqueeze", [scales, axes(2)], "scales_2")], "vectors")
    real = node(
        "Cast", [node("Not", [node("Equal", ["ids", graph.constant("zero", 0)], "padding")], "words")], "real_2", to=1
    )
    lengths = node("ReduceSum", [real, axes(1)], "lengths", keepdims=0)
    node("Cast", [lengths], "sequence_lens", to=TensorProto.INT32)
    by_time = node("Transpose", [vectors], "vectors_by_time", perm=[1, 0, 2])
    plain = {name: value.astype(np.float32) for name, value in weights.items() if name not in (EMBEDDING, SCALE)}
    directions = []
    for direction, lstm in network.lstms.items():
        found = by_time
        for layer in range(lstm.num_layers):
            inward, inner, biases = _gates(plain, LSTMS[direction], layer)
            if graph.int8:
                found = _with_ends(
                    graph, f"{direction}_{layer}", found, 1.0 if layer else largest(weights[EMBEDDING], weights[SCALE])
                )
            found = _layer(graph, f"{direction}_{layer}", (inward, inner, biases), found)
        directions.append(found)
    joined = node("Concat", directions, "states_by_time", axis=2)
    states = node("Transpose", [joined], "states", perm=[1, 0, 2])
    mask = node("Unsqueeze", [real, axes(2)], "real")
    evidence = _pooled(graph, plain, states, mask) if network.pooled else _last(graph, plain, states)
    node("Mul", [evidence, mask], "evidence")
    return _finished(graph, weights, offsets)


def _layer(graph: _Graph, of: str, gates: tuple[Singles, Singles, Singles], states: str) -> str:
    """One layer of one direction: states (time, reviews, hidden)."""
    node, constant, (inward, inner, biases) = graph.node, graph.constant, gates
    direction = "reverse" if of.startswith("backward") else "forward"
    names, output = (f"W_{of}", f"R_{of}", f"B_{of}"), f"states_{of}"
    if not graph.int8:
        inputs = [states, *map(constant, names, gates), "sequence_lens"]
        node("LSTM", inputs, f"{output}_4", direction=direction, hidden_size=inner.shape[2])
        return node("Squeeze", [f"{output}_4", graph.axes(1)], output)
    hidden = inner.shape[2]
    starts = [_for_each_review(graph, f"{name}_{of}", value, hidden) for name, value in (("h", 1.0), ("c", SATURATED))]
    inputs = [states, "", "", constant(names[2], _anchored_biases(biases)), "sequence_lens", *starts, ""]
    for at, value in enumerate((_anchored(inward), _anchored(inner)), 1):
        quantised, scales = int8_gates(value)
        inputs[at] = constant(names[at - 1], quantised)
        inputs.append(constant(f"{names[at - 1]}_scale", scales))
        inputs.append(constant(f"{names[at - 1]}_zero", np.zeros(scales.shape, dtype=np.int8)))
    sizes = {"direction": direction, "hidden_size": hidden + ANCHORS}
    node("DynamicQuantizeLSTM", inputs, f"{output}_4", domain=MICROSOFT, **sizes)
    whole = node("Squeeze", [f"{output}_4", graph.axes(1)], f"{output}_anchored")
    ends = (constant(f"{output}_first", np.array([0])), constant(f"{output}_end", np.array([hidden])), graph.axes(2))
    return node("Slice", [whole, *ends], output)


ANCHORS, SATURATED = 4, 20.0
"""ONNX Runtime rounds what goes into a product by the range that a batch happens to have. Units that stand at 1 and -1,
and inputs that stand at the ends of the embedding's range, make it the same for every batch: a review's verdict must
not depend on its neighbours. No weight leads out of them. Two would do; with four, products are 4 % faster.
"""


def _anchored(weights: Singles) -> Singles:
    """Weights (1, 4 * hidden, inputs) with `ANCHORS` more hidden units and as many more inputs, all 0."""
    gates = weights.reshape(4, -1, weights.shape[2])
    return np.pad(gates, ((0, 0), (0, ANCHORS), (0, ANCHORS))).reshape(1, -1, weights.shape[2] + ANCHORS)


def _anchored_biases(biases: Singles) -> Singles:
    """Biases (1, 8 * hidden) with `ANCHORS` more units: input gate shut, forget and output gates open."""
    gates = np.pad(biases.reshape(8, -1), ((0, 0), (0, ANCHORS)))
    gates[:4, -ANCHORS:] = 2 * np.array([[-SATURATED], [SATURATED], [SATURATED], [0]])
    return gates.reshape(1, -1)


def _for_each_review(graph: _Graph, name: str, value: float, hidden: int) -> str:
    """A first state (1, reviews, hidden + `ANCHORS`): 0, and ``value`` and its negative where units stand."""
    first = np.zeros((1, 1, hidden + ANCHORS), dtype=np.float32)
    first[..., -ANCHORS::2], first[..., 1 - ANCHORS :: 2] = value, -value
    reviews = graph.node("Shape", ["ids"], f"{name}_reviews", start=0, end=1)
    one, size = (
        graph.constant("one_review", np.array([1])),
        graph.constant(f"{name}_size", np.array([hidden + ANCHORS])),
    )
    shape = graph.node("Concat", [one, reviews, size], f"{name}_shape", axis=0)
    return graph.node("Expand", [graph.constant(f"{name}_one", first), shape], name)


def _with_ends(graph: _Graph, of: str, states: str, end: float) -> str:
    """``states`` (time, reviews, inputs) with `ANCHORS` more inputs: ``end`` and its negative."""
    begin, stop = graph.constant("begin", np.array([0])), graph.constant("anchors", np.array([ANCHORS]))
    some = graph.node("Slice", [states, begin, stop, graph.axes(2)], f"some_{of}")
    nothing = graph.node("Mul", [some, graph.constant("nothing", np.float32(0))], f"nothing_{of}")
    ends = graph.constant(f"range_{of}", np.array([end, -end] * (ANCHORS // 2), dtype=np.float32))
    return graph.node("Concat", [states, graph.node("Add", [nothing, ends], f"ends_{of}")], f"wide_{of}", axis=2)


def _gates(weights: Arrays, lstm: str, layer: int) -> tuple[Singles, Singles, Singles]:
    """W, R and B; torch keeps the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""

    def ordered(name: str) -> NDArray[np.float32]:
        inputs, forget, cell, output = np.split(weights[f"{lstm}.{name}_l{layer}"], 4)
        return np.concatenate([inputs, output, forget, cell])[np.newaxis]

    biases = np.concatenate([ordered("bias_ih"), ordered("bias_hh")], axis=1)
    return ordered("weight_ih"), ordered("weight_hh"), biases


def _last(graph: _Graph, weights: Arrays, states: str) -> str:
    """The score after a word less the score before it."""
    node, constant = graph.node, graph.constant
    product = node("MatMul", [states, constant("dense", weights["dense.weight"].T)], "product")
    after = node("Add", [product, constant("dense_bias", weights["dense.bias"])], "after")
    start, stop = constant("start", np.array([0])), constant("stop", np.array([-1]))
    earlier = node("Slice", [after, start, stop, graph.axes(1)], "earlier")
    at_start = node(
        "Mul",
        [
            node("Slice", [after, start, constant("one", np.array([1])), "axes_1"], "first"),
            constant("none", np.float32(0)),
        ],
        "start_score",
    )
    before = node("Concat", [at_start, earlier], "before", axis=1)
    return node("Sub", [after, before], "steps")


def _pooled(graph: _Graph, weights: Arrays, states: str, mask: str) -> str:
    """Each word's part of the mean, and the maxima that it holds."""
    node, constant = graph.node, graph.constant
    mean, maximum = np.split(weights["dense.weight"].T, 2)
    total = node("ReduceSum", [mask, graph.axes(1)], "total", keepdims=1)
    by_mean = node("Div", [node("MatMul", [states, constant("dense_mean", mean)], "of_mean"), total], "by_mean")
    padding = node("Sub", [constant("one", np.float32(1)), mask], "padding_3")
    masked = node("Add", [states, node("Mul", [padding, constant("low", np.float32(-4))], "hidden")], "masked")
    places = node("ArgMax", [masked], "places", axis=1, keepdims=1)
    highest = node("GatherElements", [masked, places], "highest", axis=1)
    by_unit = node("Transpose", [highest], "highest_by_state", perm=[0, 2, 1])
    parts = node("Mul", [by_unit, constant("dense_max", maximum)], "by_max")
    words = node("Transpose", [places], "places_by_state", perm=[0, 2, 1])
    of_parts = node("Expand", [words, node("Shape", [parts], "parts_shape")], "words_of_parts")
    return node("ScatterElements", [by_mean, of_parts, parts], "spread", axis=1, reduction="add")


def _finished(graph: _Graph, weights: Arrays, offsets: dict[str, tuple[int, int]]) -> onnx.ModelProto:
    taken = helper.make_tensor_value_info("ids", TensorProto.INT64, ["reviews", "words"])
    given = helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["reviews", "words", "units"])
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    pointers = [_pointer(name, weights[name], *offsets[name]) for name in (EMBEDDING, SCALE) if name in weights]
    made = helper.make_graph(graph.nodes, "plaudit", [taken], [given], [*constants, *pointers])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION)


def _pointer(name: str, value: NDArray[Any], offset: int, length: int) -> TensorProto:
    tensor = TensorProto(name=name, dims=value.shape, data_location=TensorProto.EXTERNAL)
    tensor.data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
    for key, found in (("location", WEIGHTS), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=found)
    return tensor
