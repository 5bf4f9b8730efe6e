import pytest
from tests.support.live_gateway import write_settings


def test_pages_allow_no_inline_scripts_no_frames_and_are_not_kept(gateway):
    answer = gateway.http.get("/dashboard")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "<script>" not in answer.text
    assert " style=" not in answer.text


@pytest.mark.parametrize(
    ("query", "text"),
    [("?since=2h", "since is &#39;2h&#39;"), ("?sla=<b>x", "sla is &#39;&lt;b&gt;x&#39;")],
)
def test_a_wrong_filter_is_a_page_that_says_so(gateway, query, text):
    answer = gateway.http.get(f"/dashboard{query}", headers={"accept": "text/html"})
    assert answer.status_code == 400
    assert text in answer.text
    assert "<nav" in answer.text


def test_a_missing_page_is_a_page(gateway):
    answer = gateway.http.get("/dashboard/nothing", headers={"accept": "text/html"})
    assert answer.status_code == 404
    assert "there is no page /dashboard/nothing" in answer.text
    answer = gateway.http.get("/dashboard/nothing")
    assert answer.json()["error"]["code"] == "not_found"


def test_a_page_that_fails_tells_no_details(gateway, monkeypatch):
    def fail(name):
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(gateway.gateway.router, "status", fail)
    answer = gateway.http.get("/dashboard", headers={"accept": "text/html"})
    assert answer.status_code == 500
    assert "its log has the details" in answer.text
    assert "secret" not in answer.text


def test_the_dashboard_can_be_turned_off(start, provider):
    gateway = start(write_settings(provider, dashboard={"enabled": False}))
    answer = gateway.http.get("/dashboard")
    assert answer.status_code == 404
    assert "dashboard.enabled" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "http://"])
def test_requests_of_other_pages_are_refused(gateway, origin):
    headers = {"origin": origin}
    assert gateway.http.get("/dashboard", headers=headers).status_code == 403
    answer = gateway.http.post("/dashboard/login", data={"key": "x"}, headers=headers)
    assert answer.json()["error"]["code"] == "origin_not_allowed"


def test_allowed_origins_of_the_api_are_no_origins_of_the_dashboard(start, provider):
    server = {"cors_origins": ["https://app.example.com"]}
    gateway = start(write_settings(provider, server=server))
    headers = {"origin": "https://app.example.com"}
    assert gateway.http.get("/v1/models", headers=headers).status_code == 200
    assert gateway.http.get("/dashboard", headers=headers).status_code == 403


def test_the_own_origin_is_allowed_for_the_dashboard_only(gateway):
    headers = {"origin": gateway.url}
    answer = gateway.http.get("/dashboard", headers=headers)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert gateway.http.get("/v1/models", headers=headers).status_code == 403
    assert gateway.http.get("/dashboardx", headers=headers).status_code == 403


def test_forms_are_taken_by_the_dashboard_only(gateway):
    form = {"key": "x"}
    assert gateway.http.post("/v1/feedback", data=form).status_code == 415
    assert gateway.http.post("/dashboard/login", data=form).status_code == 303
    kind = {"content-type": "text/plain"}
    assert gateway.http.post("/dashboard/login", content="key=x", headers=kind).status_code == 415


def test_a_theme_is_written_into_the_page(gateway):
    def page(theme):
        return gateway.http.get("/dashboard", headers={"cookie": f"floorline_theme={theme}"}).text

    assert 'data-theme="dark"' in page("dark")
    assert "data-theme" not in page("blue").partition("<body")[0]
