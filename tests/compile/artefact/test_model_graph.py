"""The graph of a build, as Model Explorer's own package describes what it reads."""

from __future__ import annotations

import json
from dataclasses import asdict

import msgspec
import pytest
from fixtures_artefacts import ArtefactFactory
from model_explorer_format import graph_builder

from compile.artefact.manifest import Manifest
from compile.artefact.model_graph import graph_json
from compile.support.errors import ArtefactError


@pytest.fixture
def manifest(artefact: ArtefactFactory) -> Manifest:
    return artefact().manifest


def test_it_is_what_model_explorer_reads(manifest: Manifest) -> None:
    """Every key is one of its format's, with a value of its type, and none is left out."""
    text = graph_json(manifest, {3: {"ms": "0.1"}})
    plain = json.loads(text)
    read = msgspec.convert(plain, graph_builder().GraphCollection)
    for graph, wanted in zip(asdict(read)["graphs"], plain["graphs"], strict=True):
        for node in graph["nodes"]:
            del node["style"], node["config"]
        assert {key: graph[key] for key in wanted} == wanted
    assert [graph.id for graph in read.graphs] == ["by module", "by part"]


def test_the_nodes_are_the_calls_and_the_edges_the_tensors(manifest: Manifest) -> None:
    graph, by_part = json.loads(graph_json(manifest, {3: {"ms": "0.1"}}))["graphs"]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"]) == len(manifest.calls) + 2
    seen = set()
    for name, node in nodes.items():
        for edge in node["incomingEdges"]:
            # In order of computation, so that there is no circle.
            assert edge["sourceNodeId"] in seen
            outputs = nodes[edge["sourceNodeId"]]["outputsMetadata"]
            assert edge["sourceNodeOutputId"] in {output["id"] for output in outputs}
        seen.add(name)
    edges = sum(len(node["incomingEdges"]) for node in graph["nodes"])
    assert edges == 1 + sum(len(tensor.readers) for tensor in manifest.tensors)
    node = next(one for one in graph["nodes"] if one["namespace"] == "net/backbone/encoder/stem")
    facts = {one["key"]: one["value"] for one in node["attrs"]}
    assert facts["modules"] == "net.backbone.encoder.stem.conv" and facts["part"] == "int8"
    (output,) = node["outputsMetadata"]
    assert output["attrs"][0] == {"key": "tensor_shape", "value": "int8[1, 32, 48, 16]"}
    assert {"key": "ms", "value": "0.1"} in nodes["call 3"]["attrs"]
    parts = {one["id"]: one["namespace"].split("/")[0] for one in by_part["nodes"]}
    assert parts[node["id"]] == "int8" and parts[f"call {len(manifest.calls) - 1}"] == "float"


def test_builds_of_earlier_versions_have_none(manifest: Manifest) -> None:
    with pytest.raises(ArtefactError, match="build it again"):
        graph_json(msgspec.structs.replace(manifest, tensors=()))
