import pytest
from starlette.datastructures import QueryParams

from floorline.errors import InvalidInput
from floorline.gateway.dashboard.filters import Filters, read_filters

SLAS = ["gold", "gold@acme"]


def test_no_query_is_the_last_day_of_everything():
    assert read_filters(QueryParams(""), SLAS, None) == Filters(None, None, "24h")
    assert read_filters(QueryParams("sla=&tenant=&since="), SLAS, None).seconds == 86_400.0


def test_a_query_limits_what_is_shown():
    query = QueryParams("sla=gold@acme&tenant=acme&since=1h")
    assert read_filters(query, SLAS, None) == Filters("gold@acme", "acme", "1h")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sla=silver", "sla is 'silver'.*choose one of gold, gold@acme"),
        ("since=2h", "since is '2h'.*choose one of"),
        ("tenant=other", "tenant is 'other'.*this key sees the tenant 'acme' only"),
    ],
)
def test_a_wrong_value_is_named_with_its_fix(query, problem):
    with pytest.raises(InvalidInput, match=problem):
        read_filters(QueryParams(query), SLAS, "acme")


def test_a_viewer_of_one_tenant_always_has_its_filter():
    assert read_filters(QueryParams(""), SLAS, "acme").tenant == "acme"
