"""What differs between two configurations, and what a running server can apply."""

from tests.support.two_configs import AFTER, BEFORE

from floorline.config import load_text
from floorline.gateway.config_diff import at_run_time, changes


def test_changes_names_what_differs(tmp_path):
    (tmp_path / "key").write_text("sk-old")
    old, new = (load_text(text, folder=tmp_path, environ={}) for text in (BEFORE, AFTER))
    found = changes(old, new)
    assert found.models_added == ("large",)
    assert found.models_removed == ("medium",)
    assert found.models_changed == found.prices == ("small",)
    assert found.slas_added == ("silver",)
    assert found.slas_removed == ("economy",)
    assert found.slas_changed == ("gold",)
    assert set(found.other) == {"store.retention", "server.max_in_flight"}
    assert set(found.restart) == {"store.url", "server.port", "policy"}
    assert str(found).endswith("at the next restart: policy, store.url, server.port")
    assert not changes(old, old)
    assert str(changes(old, old)) == "nothing changed"


def test_fields_that_cannot_change_at_run_time_stay(tmp_path):
    (tmp_path / "key").write_text("sk-old")
    old, new = (load_text(text, folder=tmp_path, environ={}) for text in (BEFORE, AFTER))
    effective = at_run_time(old, new)
    assert effective.as_zoo() == new.as_zoo()
    assert effective.as_slas() == new.as_slas()
    assert (effective.server.port, effective.server.max_in_flight) == (8080, 7)
    assert (effective.store.url, effective.store.retention) == (old.store.url, 7 * 86400)
    assert effective.policy == old.policy
