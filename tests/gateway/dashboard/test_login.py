import time

import httpx
import pytest
from tests.gateway.dashboard.conftest import log_in


@pytest.fixture
def viewer(keyed):
    return keyed.key("eyes", ["view"])


def csrf_of(page):
    return page.text.partition('name="csrf" value="')[2].partition('"')[0]


def test_pages_lead_to_the_login_and_back(keyed, viewer):
    client = keyed.browser()
    answer = client.get("/dashboard/models?since=1h")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/login?next=%2Fdashboard%2Fmodels%3Fsince%3D1h"
    answer = log_in(client, viewer[1], next="/dashboard/models?since=1h")
    assert answer.headers["location"] == "/dashboard/models?since=1h"
    page = client.get("/dashboard")
    assert page.status_code == 200
    assert "eyes" in page.text


def test_the_cookie_is_for_the_dashboard_and_for_the_browser_only(keyed, viewer):
    answer = log_in(keyed.browser(), viewer[1])
    cookie = answer.headers.get_list("set-cookie")[0]
    assert cookie.startswith("floorline_login=")
    for part in ("HttpOnly", "SameSite=strict", "Path=/dashboard", "Max-Age=604800"):
        assert part in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_behind_a_proxy_that_ends_tls(start, provider):
    from tests.gateway.dashboard.conftest import Keyed, write_settings

    server = {"trusted_proxies": ["127.0.0.1"], "root_path": "/llm"}
    keyed = Keyed(start(write_settings(provider, auth="keys", server=server)))
    client = keyed.browser()
    client.headers.update(
        {
            "x-forwarded-proto": "https",
            "x-forwarded-host": "localhost",
            "origin": "https://localhost",
        }
    )
    client.get("/dashboard/login")
    page = client.get("/dashboard/login")
    assert 'action="/llm/dashboard/login"' in page.text
    cookie = page.headers["set-cookie"]
    assert "Secure" in cookie
    assert "Path=/llm/dashboard" in cookie
    client.close()


@pytest.mark.parametrize("secret", ["", "fl-1234-wrong", "sk-1", "fl", "ü" * 300])
def test_a_wrong_key_is_refused(keyed, viewer, secret):
    answer = log_in(keyed.browser(), secret)
    assert answer.status_code == 401
    assert "no valid key" in answer.text
    assert 'role="alert"' in answer.text


def test_a_key_of_another_scope_is_refused_by_name(keyed):
    _, secret = keyed.key("app", ["chat", "feedback", "metrics"])
    answer = log_in(keyed.browser(), secret)
    assert answer.status_code == 403
    assert "may not look at the dashboard" in answer.text


def test_an_administrator_may_log_in(keyed):
    _, secret = keyed.key("root", ["admin"])
    assert keyed.browser(secret).get("/dashboard").status_code == 200


def test_logging_out_ends_the_login_and_not_only_the_cookie(keyed, viewer):
    client = keyed.browser(viewer[1])
    token = client.cookies["floorline_login"]
    page = client.get("/dashboard")
    answer = client.post("/dashboard/logout", data={"csrf": csrf_of(page)})
    assert answer.headers["location"] == "/dashboard/login"
    again = httpx.get(
        f"{keyed.url}/dashboard",
        timeout=60,
        headers={"cookie": f"floorline_login={token}", "accept": "text/html"},
    )
    assert again.status_code == 303


@pytest.mark.parametrize("token", [None, "", "wrong", "ü"])
def test_a_form_without_the_token_of_the_login_changes_nothing(keyed, viewer, token):
    client = keyed.browser(viewer[1])
    answer = client.post(
        "/dashboard/logout", data={"other": "x"} if token is None else {"csrf": token}
    )
    assert answer.status_code == 403
    assert "load its page again" in answer.text
    assert client.get("/dashboard").status_code == 200


def test_a_token_of_another_login_does_not_count(keyed, viewer):
    first, second = keyed.browser(viewer[1]), keyed.browser(viewer[1])
    token = csrf_of(first.get("/dashboard"))
    assert second.post("/dashboard/logout", data={"csrf": token}).status_code == 403


def test_the_login_form_has_a_token_too(keyed, viewer):
    client = keyed.browser()
    form = {"csrf": "guessed", "key": viewer[1]}
    answer = client.post("/dashboard/login", data=form)
    assert answer.status_code == 403
    assert "floorline_login" not in client.cookies
    client.get("/dashboard/login")
    assert client.post("/dashboard/login", data=form).status_code == 403


def test_a_revoked_key_ends_its_logins(keyed, viewer):
    client = keyed.browser(viewer[1])
    assert client.get("/dashboard").status_code == 200
    keys = keyed.gateway.store.keys
    keys.revoke(viewer[0].id)
    keyed.live.call(keyed.gateway.auth.set_keys, keys.list())
    assert client.get("/dashboard").status_code == 303
    assert log_in(client, viewer[1]).status_code == 401


def test_the_login_of_one_process_is_none_of_another(keyed, viewer):
    client = keyed.browser()
    client.cookies.set("floorline_login", "x" * 43)
    assert client.get("/dashboard").status_code == 303


def test_attempts_are_limited(keyed, viewer):
    client = keyed.browser()
    answers = [log_in(client, "fl-0000-guess").status_code for _ in range(10)]
    assert answers == [401] * 10
    # On a busy machine the limit lets one through every six seconds meanwhile, the right key too.
    attempts = (log_in(client, viewer[1]) for _ in range(60))
    refused = next(answer for answer in attempts if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert "too many attempts" in refused.text


@pytest.mark.parametrize(
    "back",
    ["https://example.com/", "//example.com", "/v1/models", "/dashboard/../v1", "/dashboardx"],
)
def test_a_login_leads_to_the_dashboard_only(keyed, viewer, back):
    answer = log_in(keyed.browser(), viewer[1], next=back)
    assert answer.headers["location"] == "/dashboard"


def test_a_link_of_another_site_is_asked_for_again_by_the_gateway_itself(keyed, viewer):
    client = keyed.browser()
    answer = client.get("/dashboard", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "gold" not in answer.text


def test_programs_send_a_key_instead(keyed, viewer):
    headers = {"authorization": f"Bearer {viewer[1]}"}
    assert httpx.get(f"{keyed.url}/dashboard", headers=headers, timeout=60).status_code == 200
    _, chat = keyed.key("app", ["chat"])
    headers = {"authorization": f"Bearer {chat}"}
    wrong = httpx.get(f"{keyed.url}/dashboard", headers=headers, timeout=60)
    assert wrong.status_code == 403
    assert wrong.json()["error"]["code"] == "missing_scope"


def test_a_script_without_a_login_gets_an_error_it_can_read(keyed):
    answer = httpx.get(f"{keyed.url}/dashboard", headers={"accept": "application/json"}, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "login_needed"


def test_too_large_a_form_is_refused(keyed, viewer):
    answer = keyed.browser().post("/dashboard/login", data={"key": "x" * 70_000})
    assert answer.status_code == 413


def test_whoever_has_logged_in_need_not_do_so_again(keyed, viewer):
    client = keyed.browser(viewer[1])
    answer = client.get("/dashboard/login?next=/dashboard/models")
    assert answer.headers["location"] == "/dashboard/models"


def test_names_are_texts_and_no_markup(keyed):
    name = "<script>alert(1)</script>"
    client = keyed.browser(keyed.key(name, ["view"], tenant='a&b"<i>')[1])
    for path in ("/dashboard", "/dashboard/models", "/dashboard/nothing"):
        page = client.get(path).text
        assert "&lt;script&gt;alert(1)" in page
        assert name not in page
        assert "a&amp;b&#34;&lt;i&gt;" in page


def test_without_keys_there_is_no_login_to_end(gateway):
    answer = gateway.http.post("/dashboard/logout", data={"csrf": ""})
    assert answer.status_code == 404


def test_a_form_that_is_not_sent_to_its_end_is_no_fault(keyed, viewer, caplog):
    import socket

    host, port = keyed.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = (
            f"POST /dashboard/login HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nkey="
        )
        connection.sendall(head.encode())
        time.sleep(0.2)
    assert keyed.browser(viewer[1]).get("/dashboard").status_code == 200
    assert "failed" not in caplog.text


def test_without_keys_nobody_logs_in(gateway):
    assert gateway.http.get("/dashboard").status_code == 200
    answer = gateway.http.get("/dashboard/login?next=/dashboard/models")
    assert answer.headers["location"] == "/dashboard/models"
