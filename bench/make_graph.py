"""Make the shipped graph: what minilm computes, in ONNX, without the weights, which stay where their package has them.

    python bench/make_graph.py

Needs torch, and `onnx` of the registry. Each weight is named by its place in model.safetensors, which `embed.verify` holds to
be the one that was read here; onnxruntime maps it into memory from there. Two runs give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import onnx
import torch
from transformers import AutoModel

from monitor import embed

FILE = Path(embed.__file__).parent / "graphs" / "minilm.onnx.gz"


class Tokens(torch.nn.Module):
    """The vectors of tokens, as sentence-transformers exports a model: pooling is not in its graphs."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def main() -> None:
    folder = Path(embed._minilm_folder())  # noqa: SLF001 - where its package has it
    weights = folder / "model.safetensors"
    embed.verify("minilm", weights)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids, mask = torch.ones(2, 8, dtype=torch.long), torch.ones(2, 8, dtype=torch.long)
    mask[1, 5:] = 0
    names, free = ["input_ids", "attention_mask", "last_hidden_state"], {0: "texts", 1: "tokens"}
    out = io.BytesIO()
    # folded constants would be transposed weights, 43 MB of them
    torch.onnx.export(
        Tokens(model).eval(), (ids, mask), out, input_names=names[:2], output_names=names[2:],
        dynamic_axes=dict.fromkeys(names, free), opset_version=17, dynamo=False, do_constant_folding=False,
    )  # fmt: skip
    graph = onnx.load_from_string(out.getvalue())
    leave_out_weights(graph, weights)
    for node in graph.graph.node:
        node.ClearField("doc_string")
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(gzip.compress(graph.SerializeToString(deterministic=True), mtime=0))
    print(FILE, FILE.stat().st_size)


def leave_out_weights(graph: onnx.ModelProto, weights: Path) -> None:
    raw = weights.read_bytes()
    begin = 8 + int.from_bytes(raw[:8], "little")  # https://huggingface.co/docs/safetensors: length, header, data
    places = json.loads(raw[8:begin])
    for tensor in graph.graph.initializer:
        start, end = (begin + offset for offset in places[tensor.name.removeprefix("model.")]["data_offsets"])
        assert raw[start:end] == tensor.raw_data, tensor.name
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", weights.name), ("offset", start), ("length", end - start)):
            tensor.external_data.add(key=key, value=str(value))


if __name__ == "__main__":
    main()
