"""A detector of presentation attacks for tests."""

import onnx
from onnx import TensorProto, helper

DESCRIPTION = 'input_size = [16, 16]\nscale = 0.00392156862745098\nthreshold = 0.4\nlicence = "CC0"\n'


def write_detector(path, description=DESCRIPTION, *, batch="n", classes=1):
    """Write a detector whose score is the mean level of the face, 0 .. 1; with two classes the other one has its negative."""
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, [batch, 3, 16, 16])
    nodes = [helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[1, 2, 3], keepdims=0)]
    if classes == 2:
        nodes += [
            helper.make_node("Unsqueeze", ["mean", "axis"], ["column"]),
            helper.make_node("Neg", ["column"], ["negative"]),
            helper.make_node("Concat", ["negative", "column"], ["scores"], axis=1),
        ]
    scores = helper.make_tensor_value_info("mean" if classes == 1 else "scores", TensorProto.FLOAT, None)
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
    graph = helper.make_graph(nodes, "pad", [faces], [scores], initializer=[axis] if classes == 2 else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    path.with_suffix(".toml").write_text(description)
    return path
