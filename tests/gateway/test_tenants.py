"""Names of tenants' own SLAs: two of them are one only if SLA and tenant are equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.gateway_parts import Parts, chat_request

from floorline.config.sections import SlaSettings
from floorline.core.bounds import MAX_NAME, MAX_TENANT, is_name
from floorline.gateway import model_names
from floorline.gateway.auth import Caller
from floorline.gateway.errors import ApiError
from floorline.gateway.tenants import split_tenant, tenant_sla
from floorline.sla import SLA

(PATTERN,) = [m.pattern for m in SlaSettings.model_fields["name"].metadata if hasattr(m, "pattern")]
slas = st.from_regex(PATTERN.replace("$", r"\Z"))
tenants = st.text(st.characters(), max_size=MAX_TENANT).filter(
    lambda t: t and is_name(t, MAX_TENANT)
)
odd = st.sampled_from(["@", "a@b", "gold", "gold@acme", "/", "b/c"])


@given(slas, tenants | odd)
def test_the_parts_of_a_name_are_found_again(name, tenant):
    own = tenant_sla(SLA(name, floor=0.5), tenant)
    assert split_tenant(own.name) == (name, tenant)
    assert len(own.name) <= MAX_NAME


@given(slas, tenants | odd, slas, tenants | odd)
def test_names_are_equal_only_if_their_parts_are(one, first, other, second):
    names = [tenant_sla(SLA(n, floor=0.5), t).name for n, t in ((one, first), (other, second))]
    assert (names[0] == names[1]) == ((one, first) == (other, second))
    # And none is the name of an SLA that all share.
    assert names[0] not in (one, other)


def test_the_number_of_tenants_with_slas_of_their_own_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(model_names, "MAX_TENANT_SLAS", 2)
    parts = Parts(tmp_path, slas=[{"name": "gold", "floor": 0.9, "per_tenant": True}])
    for tenant in ("a", "b", "a"):
        assert parts.chat.decide(chat_request(), Caller("k", tenant)).sla == f"gold@{tenant}"
    with pytest.raises(ApiError, match="keeps 2 SLAs of single tenants already") as caught:
        parts.chat.decide(chat_request(), Caller("k", "c"))
    assert caught.value.status == 403
    assert parts.chat.decide(chat_request(), Caller("k", "b")).sla == "gold@b"
    parts.store.close()


def test_a_session_of_one_tenant_is_not_that_of_another(tmp_path):
    parts = Parts(tmp_path)
    decide = parts.chat.decide
    first = decide(
        chat_request(floorline={"session": "b/c", "exclude": ["small"]}), Caller("k1", "a")
    )
    other = decide(chat_request(floorline={"session": "c"}), Caller("k2", "a/b"))
    again = decide(chat_request(floorline={"session": "b/c"}), Caller("k3", "a"))
    assert (first.model, other.model, again.model) == ("large", "small", "large")
    parts.store.close()
