"""A trained network as ONNX, for scoring without torch. Knows the graph, and nothing of training.

The graph is written out by hand: it is a few nodes, the same for every torch version, and it gives
the score after every word, whatever the number of reviews and of words.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from plaudit.errors import PlauditError
from plaudit.learning.network import Network

OPSET = 17
IR_VERSION = 8
TOLERANCE = 1e-4


def export(network: Network) -> bytes:
    """ONNX with input ``ids`` (reviews, words) int64 and output ``scores`` (reviews, words) float32.

    Raises PlauditError if ONNX Runtime's scores differ from torch's by more than 1e-4.
    """
    content: bytes = _model(network).SerializeToString()
    _compare(network, content)
    return content


def _model(network: Network) -> onnx.ModelProto:
    weights = {name: value.detach().float().numpy() for name, value in network.state_dict().items()}
    constants = {
        "embedding": weights["embedding.weight"],
        "dense_weight": weights["dense.weight"].T,
        "dense_bias": weights["dense.bias"],
        "direction": np.array([1], dtype=np.int64),
        "unit": np.array([2], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embedding", "ids"], ["vectors"]),
        helper.make_node("Transpose", ["vectors"], ["states_0"], perm=[1, 0, 2]),
    ]
    layers = network.lstm.num_layers
    for layer in range(layers):
        constants |= _layer_constants(weights, layer)
        names = [f"states_{layer}", f"W_{layer}", f"R_{layer}", f"B_{layer}"]
        nodes.append(helper.make_node("LSTM", names, [f"both_{layer}"], hidden_size=network.lstm.hidden_size))
        nodes.append(helper.make_node("Squeeze", [f"both_{layer}", "direction"], [f"states_{layer + 1}"]))
    nodes += [
        helper.make_node("MatMul", [f"states_{layers}", "dense_weight"], ["product"]),
        helper.make_node("Add", ["product", "dense_bias"], ["units"]),
        helper.make_node("Squeeze", ["units", "unit"], ["by_word"]),
        helper.make_node("Transpose", ["by_word"], ["scores"], perm=[1, 0]),
    ]
    graph = helper.make_graph(
        nodes,
        "plaudit",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["reviews", "words"])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["reviews", "words"])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _layer_constants(weights: dict[str, NDArray[np.float32]], layer: int) -> dict[str, NDArray[np.float32]]:
    def gates(name: str) -> NDArray[np.float32]:
        """torch keeps the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
        inputs, forget, cell, output = np.split(weights[f"lstm.{name}_l{layer}"], 4)
        return np.concatenate([inputs, output, forget, cell])[np.newaxis]

    biases = np.concatenate([gates("bias_ih"), gates("bias_hh")], axis=1)
    return {f"W_{layer}": gates("weight_ih"), f"R_{layer}": gates("weight_hh"), f"B_{layer}": biases}


def _compare(network: Network, content: bytes) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(1, network.embedding.num_embeddings, (3, 40))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"ids": ids})
    network.eval()
    with torch.no_grad():
        expected = network(torch.from_numpy(ids)).numpy()
    difference = float(np.abs(scores - expected).max())
    if not difference <= TOLERANCE:
        raise PlauditError(
            f"the exported network differs from the trained one by {difference}: this is a fault of ours"
        )
