"""Login with a key, logout, and what ends a login."""

import re

import httpx2 as httpx
import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import settle
from tests.browser.scene import configuration
from tests.browser.visiting import Visits
from tests.support.live_gateway import Live, wait_until

from floorline.gateway.dashboard import logins

ERROR = "[role=alert]"


def at_login(page):
    return "/dashboard/login" in page.url


def test_a_page_leads_to_the_login_and_back(visits, scene):
    watched = visits.open("/dashboard/models?since=7d", key=None)
    page = watched.page
    assert at_login(page)
    visits.send_key(page, scene.secrets["viewer"])
    page.wait_for_url(re.compile(r"/dashboard/models\?since=7d$"))
    assert "wall display" in page.locator("header").inner_text()


def test_the_cookie_is_for_this_server_alone(visits, scene):
    page = visits.open("/dashboard").page
    cookies = [one for one in page.context.cookies() if "theme" not in one["name"]]
    (cookie,) = cookies
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert cookie["path"].startswith("/dashboard")
    assert scene.secrets["operator"] not in cookie["value"]
    assert page.evaluate("document.cookie") == ""


def test_logging_out_ends_the_login(visits, scene):
    watched = visits.watched()
    page = watched.page
    visits.log_in(page, scene.secrets["viewer"])
    page.wait_for_url(lambda url: "/login" not in url)
    cookies = page.context.cookies()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/dashboard/login*")
    page.go_back()
    page.goto(f"{scene.url}/dashboard")
    assert at_login(page)
    # A copy of the cookie is worth nothing either.
    page.context.add_cookies(cookies)
    page.goto(f"{scene.url}/dashboard")
    assert at_login(page)


@pytest.mark.parametrize("key", ["acme", "contractor", "unknown", "nonsense", ""])
def test_other_keys_do_not_log_in(visits, scene, key):
    secrets = {"unknown": "fl-00000000-" + "x" * 43, "nonsense": "hunter2", "": " "}
    watched = visits.watched()
    watched.expected += ["401", "403", "400"]
    page = watched.page
    visits.log_in(page, secrets[key] if key in secrets else scene.secrets[key])
    page.wait_for_selector(ERROR)
    assert at_login(page)
    text = page.locator(ERROR).inner_text()
    assert "key" in text
    assert violations(page) == []
    assert scene.secrets["acme"] not in page.content()


def test_a_revoked_key_ends_its_logins(visits, scene):
    key, secret = scene.create_key("lost phone", ["view"])
    watched = visits.watched()
    watched.expected += ["401", "403"]
    page = watched.page

    def knows_the_key():
        headers = {"authorization": f"Bearer {secret}"}
        answer = httpx.get(f"{scene.url}/dashboard/data/models.json", headers=headers, timeout=60)
        return answer.status_code == 200

    # The gateway reads keys every two seconds.
    wait_until(knows_the_key)
    visits.log_in(page, secret)
    page.wait_for_url(lambda url: "/login" not in url)
    scene.revoke(key.id)
    wait_until(lambda: not knows_the_key())
    page.goto(f"{scene.url}/dashboard/models")
    assert at_login(page)
    answer = page.request.get(f"{scene.url}/dashboard/data/models.json")
    assert answer.status in (401, 403)


@pytest.mark.parametrize("constant", ["IDLE_SECONDS", "MOST_SECONDS"])
def test_a_login_ends_with_time(chromium, tmp_path, monkeypatch, constant):
    gateway = Live(configuration("http://127.0.0.1:1", {}), tmp_path)
    key, secret = gateway.gateway.store.keys.create("wall display", ["view"])
    gateway.call(gateway.gateway.auth.set_keys, [key])
    visits = Visits(chromium, gateway.url, {})
    page = visits.watched().page
    visits.log_in(page, secret)
    page.wait_for_url(lambda url: "/login" not in url)
    monkeypatch.setattr(logins, constant, 0.0)
    page.reload()
    assert at_login(page)
    visits.close()
    gateway.stop()


def test_a_form_without_the_token_changes_nothing(visits, scene):
    watched = visits.watched()
    watched.expected += ["403"]
    page = watched.page
    visits.log_in(page, scene.secrets["viewer"])
    page.wait_for_url(lambda url: "/login" not in url)
    for token in ("", "0" * 32):
        origin = {"origin": scene.url}
        answer = page.request.post(
            f"{scene.url}/dashboard/logout", form={"csrf": token}, headers=origin
        )
        assert answer.status == 403
    page.goto(f"{scene.url}/dashboard")
    assert not at_login(page)


def test_another_site_cannot_send_forms(visits, scene):
    page = visits.open("/dashboard").page
    token = page.locator("form[action$=logout] input[name=csrf]").get_attribute("value")
    answer = page.request.post(
        f"{scene.url}/dashboard/logout",
        form={"csrf": token},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status == 403
    page.goto(f"{scene.url}/dashboard")
    assert not at_login(page)


def test_the_address_after_the_login_is_of_this_server(visits, scene):
    page = visits.watched().page
    for target in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        page.context.clear_cookies()
        page.goto(f"{scene.url}/dashboard/login?next={target}")
        visits.send_key(page, scene.secrets["viewer"])
        page.wait_for_url(lambda url: "/login" not in url)
        assert page.url.startswith(f"{scene.url}/dashboard")
        # Data that still loads when the cookies are gone would be refused.
        settle(page)


def test_a_link_of_another_site_finds_the_login(visits, scene):
    page = visits.open("/dashboard").page
    settle(page)
    link = f'<a href="{scene.url}/dashboard/models?since=7d">look at this</a>'
    page.route(
        "http://chat.example/", lambda route: route.fulfill(body=link, content_type="text/html")
    )
    page.goto("http://chat.example/")
    page.get_by_role("link", name="look at this").click()
    page.get_by_role("heading", name="All models").wait_for()
    settle(page)


def test_answers_forbid_what_pages_do_not_need(visits, scene):
    page = visits.open("/dashboard").page
    answer = page.request.get(f"{scene.url}/dashboard")
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
