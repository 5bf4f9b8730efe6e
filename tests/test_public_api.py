import inspect
import json
import subprocess
import sys
import typing

import msgspec
import numpy as np
import pytest

import floorline
from floorline import SLA, Budget, Certificate, Router, Zoo

ALLOWED = {"floorline", "msgspec", "numpy", "typing_extensions"}


def names_of(hint):
    """Classes of this package that an annotation names."""
    found = {hint} if inspect.isclass(hint) else set()
    for part in typing.get_args(hint):
        found |= names_of(part)
    return {kind for kind in found if kind.__module__.partition(".")[0] == "floorline"}


def annotated(kind):
    """Classes that the public methods of a class take or return."""
    found = set()
    for name, member in inspect.getmembers(kind):
        if name.startswith("_") and name != "__init__":
            continue
        member = member.fget if isinstance(member, property) else member
        if inspect.isfunction(member):
            for hint in typing.get_type_hints(member).values():
                found |= names_of(hint)
    return found


@pytest.mark.parametrize("kind", [Router, Zoo, floorline.Policy, floorline.Judge])
def test_every_class_that_a_signature_names_can_be_imported_from_floorline(kind):
    events = {
        "ConfigChange",
        "QualityChange",
        "Recall",
        "SlaChange",
        "Tombstone",
        "WarmStart",
        "ZooChange",
    }
    missing = {one.__name__ for one in annotated(kind)} - set(floorline.__all__)
    # Events that only the router and the store make.
    assert missing <= events


def test_everything_in_all_exists():
    for name in floorline.__all__:
        assert getattr(floorline, name) is not None
    assert floorline.errors.InvalidInput is not None
    assert set(floorline.__all__) <= set(dir(floorline))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        floorline.nothing  # noqa: B018


def imported_by(statement):
    program = f"import sys; {statement}; import json; print(json.dumps(sorted(sys.modules)))"
    run = [sys.executable, "-c", program]
    return set(json.loads(subprocess.run(run, capture_output=True, check=True).stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import floorline",
        "from floorline import *",
        "from floorline import RoutingTable",
    ],
)
def test_the_import_loads_no_other_library_than_routing_needs(statement):
    bare = imported_by("import numpy, msgspec, typing_extensions")
    added = {name.partition(".")[0] for name in imported_by(statement) - bare}
    assert added - set(sys.stdlib_module_names) <= ALLOWED


def test_importing_the_router_does_not_import_datasets():
    assert not {m for m in imported_by("import floorline") if m.startswith("floorline.datasets")}


# What is shown of an object.


@pytest.fixture
def routed(build_router, vector):
    router = build_router("cheapest", [SLA("<gold>", floor=0.8, budget=Budget(total=1e6))])
    decision = router.route(features=vector(0))
    router.outcome(decision.id, cost=1.25)
    router.feedback(decision.id, satisfied=True)
    return router, decision


def test_a_decision_shows_what_was_decided_and_no_array(routed):
    _, decision = routed
    assert repr(decision) == (
        "Decision(id='d3-1', sla='<gold>', floor=0.8, model='small', quality=0.5, cost=1.256)"
    )
    declined = msgspec.structs.replace(decision, model="", called=(), index=-1)
    assert "declined" in repr(declined)
    assert "explored" in repr(msgspec.structs.replace(decision, explored=True))
    direct = msgspec.structs.replace(decision, quality_estimates=np.full(3, np.nan))
    assert "–" in direct._repr_html_()


def test_a_status_and_a_certificate_show_the_verdict(routed):
    router, _ = routed
    assert repr(router.status()) == (
        "Status('<gold>': unknown, satisfaction 1 in [0.0002248, 1], floor 0.8, 1 requests, "
        "1 labels, spent 1.25 USD)"
    )
    assert repr(router.certificate()) == (
        "Certificate('<gold>': unknown, satisfaction 1 in [0.0002248, 1] at confidence 0.95, "
        "floor 0.8, 1 labels of 1 requests)"
    )


def test_without_labels_there_is_a_dash(build_router):
    router = build_router("cheapest")
    assert "satisfaction –" in repr(router.status())
    assert "<td>–</td>" in router.certificate()._repr_html_()


def test_html_is_one_small_escaped_table(routed):
    router, decision = routed
    shown = [decision, router.status(), router.certificate()]
    for text in (one._repr_html_() for one in shown):
        assert text.count("<table><caption>") == text.count("</table>") == 1
        assert "<gold>" not in text
        assert len(text) < 3000
    assert "estimates of large" in decision._repr_html_()
    assert "SLA &lt;gold&gt;" in router.status()._repr_html_()
    # Both have a drawing of the bounds, the mean and the floor.
    for text in (router.status()._repr_html_(), router.certificate()._repr_html_()):
        assert text.startswith('<svg viewBox="0 0 400 54"')
        assert 'aria-label="mean 1.000, bounds 0.000 to 1.000, floor 0.8"' in text
    assert isinstance(router.certificate(), Certificate)


def test_the_package_imports_what_is_used_only():
    """Each command would wait for all of it, and a signal would end it meanwhile."""
    program = "import sys, floorline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {"numpy", "msgspec", "floorline.router"} & set(done.stdout.decode().split())
    assert floorline.Router is Router
