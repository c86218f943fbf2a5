"""A build as a graph for Google's Model Explorer: a node for each kernel call, an edge for each
tensor.

The file holds two graphs of the same nodes: one grouped by the PyTorch modules that they compute,
one by int8 and float first. Its format is that of the package ai-edge-model-explorer
(graph_builder.GraphCollection), which is not needed to write it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import Any

from compile.artefact.manifest import CallSummary, KernelSummary, Manifest, PlannedTensor
from compile.support.errors import ArtefactError

#: What is known of a call beside what its build says, by its number: time, error.
CallFacts = Mapping[int, Mapping[str, str]]
_INTEGERS, _FLOATS = "int8", "float"


def graph_json(manifest: Manifest, facts: CallFacts | None = None) -> str:
    """Return the text of the file, with the ``facts`` among each node's attributes.

    Raises:
        ArtefactError: the build is of a version that did not note its tensors.
    """
    if not manifest.tensors:
        raise ArtefactError(
            "the build does not say which tensors its kernels make, as those of earlier versions: "
            "build it again"
        )
    nodes = _Nodes(manifest, facts or {})
    graphs: list[dict[str, Any]] = [
        {"id": "by module", "nodes": nodes.listed(by_part=False)},
        {"id": "by part", "nodes": nodes.listed(by_part=True)},
    ]
    for graph in graphs:
        graph["groupNodeAttributes"] = {"": nodes.whole}
    label = f"{manifest.network} {manifest.scheme} for {manifest.target.name}"
    return json.dumps({"label": label, "graphs": graphs}, indent=1) + "\n"


class _Nodes:
    """The nodes of a build: its inputs, calls and outputs."""

    def __init__(self, manifest: Manifest, facts: CallFacts) -> None:
        self._manifest, self._facts = manifest, facts
        calls = range(len(manifest.calls))
        self._made: dict[int, list[PlannedTensor]] = {call: [] for call in calls}
        self._read: dict[int, list[dict[str, str]]] = {call: [] for call in calls}
        self._results: list[dict[str, str]] = []
        inputs: list[PlannedTensor] = []
        for tensor in manifest.tensors:
            made = inputs if tensor.call < 0 else self._made[tensor.call]
            source = f"input {len(made)}" if tensor.call < 0 else f"call {tensor.call}"
            output = "0" if tensor.call < 0 else str(len(made))
            made.append(tensor)
            edge = {"sourceNodeId": source, "sourceNodeOutputId": output}
            for reader in tensor.readers:
                number = str(len(self._read[reader]))
                self._read[reader].append({**edge, "targetNodeInputId": number})
            if tensor.call >= 0 and tensor.is_kept and not tensor.readers:
                self._results.append({**edge, "targetNodeInputId": "0"})
        self._inputs = inputs
        self._kernels = {(one.part, one.name): one for one in manifest.kernels}
        self._groups = {
            tuple(path[:depth])
            for call in manifest.calls
            for layer in call.layers
            for path in (layer.split("."),)
            for depth in range(1, len(path))
        }

    @property
    def whole(self) -> dict[str, str]:
        """What is known of the network, by name."""
        whole = self._manifest.whole
        return {
            "kernel calls": str(whole.ops),
            "MACs": f"{whole.macs:,}",
            "weight bytes": f"{whole.weight_bytes:,}",
            "planned bytes": f"{whole.activation_bytes:,}",
        }

    def listed(self, by_part: bool) -> list[dict[str, Any]]:
        """All nodes, in the order of a frame."""
        calls = enumerate(self._manifest.calls)
        return [
            *(self._input(number) for number in range(len(self._inputs))),
            *(self._call(number, call, by_part) for number, call in calls),
            *(self._output(number) for number in range(len(self._results))),
        ]

    def _input(self, number: int) -> dict[str, Any]:
        name = self._manifest.inputs[number].name
        return _node(f"input {number}", f"input {name}", made=[self._inputs[number]])

    def _output(self, number: int) -> dict[str, Any]:
        name = self._manifest.outputs[number].name
        return _node(f"output {number}", f"output {name}", edges=[self._results[number]])

    def _call(self, number: int, call: CallSummary, by_part: bool) -> dict[str, Any]:
        made = self._made[number]
        read = [one for one in self._manifest.tensors if number in one.readers]
        is_float = any("float" in one.dtype for one in (*made, *read))
        part = _FLOATS if is_float else _INTEGERS
        kernel = self._kernel(call.kernel)
        facts = {
            "kernel": call.kernel,
            "part": part,
            "modules": ", ".join(call.layers),
            "family": kernel.family if kernel else "",
            "schedule": kernel.schedule if kernel else "",
            "MACs": f"{kernel.macs:,}" if kernel else "",
            "bytes read": f"{sum(one.size for one in read):,}",
            "bytes written": f"{sum(one.size for one in made):,}",
            **self._facts.get(number, {}),
        }
        path = self._path(call)
        namespace = "/".join([part, *path] if by_part else path)
        return _node(f"call {number}", call.kernel, namespace, facts, self._read[number], made)

    def _kernel(self, name: str) -> KernelSummary | None:
        """None of a copy between devices."""
        return next((one for (_, kernel), one in self._kernels.items() if kernel == name), None)

    def _path(self, call: CallSummary) -> list[str]:
        """The innermost module that holds all that ``call`` computes; where that is a single layer
        without others in it, it is a node of the module around it."""
        common = commonprefix([layer.split(".") for layer in call.layers])
        return list(common) if tuple(common) in self._groups else list(common[:-1])


def _node(
    name: str,
    label: str,
    namespace: str = "",
    facts: Mapping[str, str] | None = None,
    edges: Sequence[Mapping[str, str]] = (),
    made: Sequence[PlannedTensor] = (),
) -> dict[str, Any]:
    """A node with all that Model Explorer reads, also where it is empty."""
    return {
        "id": name,
        "label": label,
        "namespace": namespace,
        "subgraphIds": [],
        "attrs": [{"key": key, "value": value} for key, value in (facts or {}).items() if value],
        "incomingEdges": list(edges),
        "inputsMetadata": [],
        "outputsMetadata": _metadata(made),
    }


def _metadata(tensors: Sequence[PlannedTensor]) -> list[dict[str, Any]]:
    """Of the outputs of a node; Model Explorer writes "tensor_shape" on the edges."""
    return [
        {
            "id": str(number),
            "attrs": [
                {"key": "tensor_shape", "value": f"{tensor.dtype}{list(tensor.shape)}"},
                {"key": "bytes", "value": f"{tensor.size:,}"},
                {"key": "storage", "value": str(tensor.storage) if tensor.storage >= 0 else "own"},
            ],
        }
        for number, tensor in enumerate(tensors)
    ]
