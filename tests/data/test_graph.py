import networkx as nx
import numpy as np
import pytest

from knowreason.data import Dataset, EdgeList, fit_standardisation, to_pyg
from knowreason.data.edges import Edges
from knowreason.data.features import FeatureTable
from knowreason.errors import DataError
from knowreason.logic import Attribute, Domain, Predicate, Program
from tests.strategies_data import arguments, people


def edges_at(times):
    zeros = np.zeros(len(times), np.int32)
    none = FeatureTable((), np.zeros((len(times), 0), np.float32), ())
    return Edges("to", "A", "A", zeros, zeros, none, time=np.array(times), time_sort="int")


def meetings(**more):
    table = {
        "id": ["e1", "e2", "e3"],
        "src": ["a", "b", "a"],
        "dst": ["b", "c", "c"],
        "time": ["2026-01-01", "2026-01-02", "2026-01-03"],
        "bytes": [1.0, 3.0, 5.0],
        "kind": ["x", "y", "x"],
    }
    how = {"time": "time", "features": ["bytes", "kind"], "key": "id:Event", **more}
    return EdgeList(table, "src", "dst", **how)


def test_edges_are_encoded_in_the_domains_of_named_arguments():
    data = Dataset.from_frames(people(), graph=meetings(name="meets"))
    edges = data.graph.edges("meets")
    assert edges.edge_type == ("Person", "meets", "Person")
    assert list(data.vocabularies["Person"]) == ["a", "b", "c"]
    assert edges.source.tolist() == [0, 1, 0]
    assert edges.target.tolist() == [1, 2, 2]
    assert edges.key_domain == "Event"
    assert data.vocabularies["Event"].decode(edges.key).to_pylist() == ["e1", "e2", "e3"]
    assert edges.time_sort == "time"
    assert np.diff(edges.time).tolist() == [86_400_000_000] * 2
    assert edges.features.categories == (None, ("x", "y"))
    assert data.graph.domains == ("Person",)


def test_domains_may_be_named():
    table = {"from": ["a"], "event": ["e1"]}
    edges = EdgeList(table, "from:Person", "event")
    data = Dataset.from_frames(people(), graph=[edges])
    assert data.graph.edges().edge_type == ("Person", "to", "Event")
    assert data.graph.edges().time is None
    with pytest.raises(DataError, match="no domain `Persn`"):
        Dataset.from_frames(people(), graph=EdgeList(table, "from:Persn", "event"))


def test_times_may_be_numbers():
    numbers = EdgeList({"src": ["a"], "dst": ["b"], "t": ["7"]}, "src", "dst", time="t")
    edges = Dataset.from_frames(people(), graph=numbers).graph.edges()
    assert (edges.time.tolist(), edges.time_sort) == ([7], "int")


def test_one_relation_is_asked_for_by_name():
    data = Dataset.from_frames(people(), graph=[meetings(), meetings(name="other")])
    with pytest.raises(KeyError, match="2 relations"):
        data.graph.edges()
    assert data.graph.edges("other").name == "other"


def test_pyg_gets_a_plain_graph_of_one_relation():
    data = Dataset.from_frames(
        people(), graph=meetings(), features={"Person": {"x": ["a", "c"], "f": [1.0, 3.0]}}
    )
    graph = to_pyg(data)
    assert graph.edge_index.tolist() == [[0, 1, 0], [1, 2, 2]] or graph.num_nodes == 3
    assert list(data.vocabularies["Person"]) == ["a", "c", "b"]
    assert graph.x.tolist() == [[-1, 0], [1, 0], [0, 1]]
    assert graph.edge_attr.shape == (3, 3)
    assert graph.edge_key.tolist() == [0, 1, 2]
    assert graph.validate()
    fitted = fit_standardisation(data.features["Person"], np.array([0]))
    assert to_pyg(data, fitted={"Person": fitted}).x[:, 0].tolist() == [0, 2, 0]
    assert to_pyg(data, undirected=True).num_edges == 6


def test_pyg_gets_a_heterogeneous_graph_of_several():
    table = {"src": ["a", "b"], "event": ["e1", "e1"]}
    data = Dataset.from_frames(
        people(),
        graph=[meetings(key=None, name="meets"), EdgeList(table, "src", "event", name="at")],
    )
    graph = to_pyg(data)
    assert set(graph.edge_types) == {("Person", "meets", "Person"), ("Person", "at", "Event")}
    assert graph["Event"].x.tolist() == [[1.0]]
    assert graph["Person", "at", "Event"].edge_index.tolist() == [[0, 1], [0, 0]]
    assert graph.validate()


def test_a_data_set_without_a_graph_says_so():
    with pytest.raises(ValueError, match="no graph"):
        to_pyg(Dataset.from_frames(people()))


def test_networkx_graphs_become_data_sets():
    graph = nx.Graph([(1, 2), (2, 3)])
    graph.add_node(4, age=40, smokes=True, town="Rome")
    graph.nodes[1]["smokes"] = False
    graph.edges[1, 2]["closeness"] = 0.5
    data = Dataset.from_networkx(
        people(),
        graph,
        edges="Friends",
        attributes={"age": "age", "closeness": "closeness"},
        labels={"Smokes": "smokes"},
        features=["town"],
    )
    assert list(data.vocabularies["Person"]) == ["1", "2", "3", "4"]
    assert data.facts["Friends"].num_rows == 4
    assert data.named("age").to_pydict() == {"a0": ["4"], "value": [40]}
    assert data.named("closeness").to_pydict() == {"a0": ["1"], "a1": ["2"], "value": [0.5]}
    assert data.named("Smokes").to_pydict() == {"a0": ["1", "4"], "value": [0, 1]}
    assert data.features["Person"].categories == (("Rome",),)
    assert to_pyg(data).edge_index.tolist() == [[0, 1], [1, 2]]


def test_the_karate_club_is_a_data_set():
    club = nx.karate_club_graph()
    nx.set_node_attributes(club, {n: d["club"] == "Officer" for n, d in club.nodes(data=True)}, "o")
    data = Dataset.from_networkx(people(), club, edges="Friends", labels={"Smokes": "o"})
    assert data.count("Person") == 34
    assert data.facts["Friends"].num_rows == 156
    assert data.labels["Smokes"].num_rows == 34


NODES = Program(
    domains=(Domain("Node"), Domain("Class", ("no", "yes", "maybe"))),
    predicates=(
        Predicate("Edge", "observed", arguments("Node", "Node")),
        Predicate("Bad", "query", arguments("Node")),
        Predicate("Is", "query", arguments("Node", "Class!")),
    ),
    attributes=(Attribute("weight", arguments("Node"), "float"),),
)


def test_pyg_graphs_become_data_sets():
    import torch
    from torch_geometric.data import Data

    graph = Data(
        x=torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        edge_index=torch.tensor([[2, 0], [0, 1]]),
        y=torch.tensor([0, -1, 1]),
        kind=torch.tensor([2, 0, 1]),
        train_mask=torch.tensor([True, True, False]),
        edge_time=torch.tensor([5, 6]),
    )
    data = Dataset.from_pyg(NODES, graph, edges={"Edge": None}, labels={"Bad": "y", "Is": "kind"})
    assert list(data.vocabularies["Node"]) == ["0", "1", "2"]
    assert data.named("Edge").to_pydict() == {"a0": ["2", "0"], "a1": ["0", "1"]}
    assert data.named("Bad").to_pydict() == {"a0": ["0", "2"], "value": [0, 1]}
    assert data.named("Is").column("a1").to_pylist() == ["maybe", "no", "yes"]
    assert data.features["Node"].values.tolist() == graph.x.tolist()
    assert data.graph.edges().time.tolist() == [5, 6]
    back = to_pyg(data)
    assert back.edge_index.tolist() == graph.edge_index.tolist()
    masked = Dataset.from_pyg(
        NODES, graph, edges={"Edge": None}, labels={"Bad": "y"}, train_mask="train_mask"
    )
    assert masked.labels["Bad"].num_rows == 1


def test_heterogeneous_pyg_graphs_become_data_sets():
    import torch
    from torch_geometric.data import HeteroData

    graph = HeteroData()
    graph["person"].x = torch.zeros(2, 1)
    graph["event"].num_nodes = 3
    graph["person", "likes", "event"].edge_index = torch.tensor([[0, 1], [2, 0]])
    graph["person"].y = torch.tensor([1.0, float("nan")])
    program = Program(
        domains=(Domain("Person"), Domain("Event")),
        predicates=(
            Predicate("Likes", "observed", arguments("Person", "Event")),
            Predicate("Bad", "query", arguments("Person")),
        ),
    )
    data = Dataset.from_pyg(
        program,
        graph,
        edges={"Likes": ("person", "likes", "event")},
        labels={"Bad": ("person", "y")},
    )
    assert (data.count("Person"), data.count("Event")) == (2, 3)
    assert data.named("Likes").to_pydict() == {"a0": ["0", "1"], "a1": ["2", "0"]}
    assert data.named("Bad").to_pydict() == {"a0": ["0"], "value": [1]}
    assert set(data.features) == {"Person"}
