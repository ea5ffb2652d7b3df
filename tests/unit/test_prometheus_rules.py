"""Rule files of Prometheus: published ones are read whole, and strange ones are refused."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.prometheus_rules import RuleFileError, rules_of
from tests.support.shared_data import shared_data


def test_published_rules_are_read_whole() -> None:
    paths = sorted(shared_data("alertmanager/rules-kube-prometheus/manifests").glob("*.yaml"))
    assert paths
    for path in paths:
        told = [
            (group["name"], rule["alert"], rule.get("labels", {}), rule.get("annotations", {}), rule["expr"])
            for group in yaml.safe_load(path.read_bytes())["spec"]["groups"]
            for rule in group["rules"]
            if "alert" in rule
        ]
        read = [(one.group, one.name, one.labels, one.annotations, one.expr) for one in rules_of(path.read_bytes())]
        assert read == told
        assert all(one.runbook_url for one in rules_of(path.read_bytes()))


def test_a_file_of_prometheus_itself_is_read() -> None:
    text = (
        b"groups: [{name: g, rules: [{record: r, expr: up}, {alert: Down, expr: up == 0, labels: {severity: page}}]}]"
    )
    (rule,) = rules_of(text)
    assert (rule.group, rule.name, rule.expr, rule.labels) == ("g", "Down", "up == 0", {"severity": "page"})
    assert rule.runbook_url is None


@pytest.mark.parametrize(
    "text",
    [
        b"", b"a: [", b"[" * 100_000, b"a: " * 10 + b"\n", b"groups: 1", b"groups: [{rules: 3}]", b"\x00",
        b"a: &x [1]\nb: *x",
        b"groups: [{name: g, rules: [{alert: 1, expr: up}]}]", b"groups: [{name: g, rules: [{alert: A, labels: 3}]}]",
        b"groups: []\n---\ngroups: []", b"!!python/object/apply:os.getpid []",
    ],
)  # fmt: skip
def test_what_is_no_rule_file_is_refused(text: bytes) -> None:
    with pytest.raises(RuleFileError):
        rules_of(text)


_leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=True)
_trees = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["groups", "rules", "name", "alert", "expr", "labels", "annotations", "spec"]), inner
        )
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(_trees)
def test_whatever_a_file_holds_it_is_read_or_refused(tree: Any) -> None:
    try:
        found = rules_of(yaml.safe_dump(tree, allow_unicode=True).encode())
    except RuleFileError as error:
        refused = str(error)
    else:
        assert all(rule.name and rule.group for rule in found)
        return
    assert len(refused) < 400
