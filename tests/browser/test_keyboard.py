"""All of it works with a keyboard alone."""

import pytest
from tests.browser.pages import PAGES, path_of, settle

_FOCUSED = "document.activeElement.innerText || document.activeElement.getAttribute('aria-label')"


def test_the_skip_link_comes_first(visits):
    page = visits.open("/dashboard").page
    page.keyboard.press("Tab")
    assert "Skip" in page.evaluate(_FOCUSED)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_page_is_chosen_with_tab_and_enter(visits):
    page = visits.open("/dashboard").page
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate(_FOCUSED) == "Models":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/dashboard/models")


def test_the_menu_of_a_phone_opens_and_closes(visits):
    page = visits.open("/dashboard", width=390).page
    link = page.locator("#navigation a", has_text="Budgets")
    assert not link.is_visible()
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate(_FOCUSED) == "Pages":
            break
    page.keyboard.press("Enter")
    assert link.is_visible()
    page.keyboard.press("Escape")
    assert not link.is_visible()
    page.keyboard.press("Enter")
    link.press("Enter")
    page.wait_for_url("**/dashboard/budgets")


def test_the_theme_is_kept(visits):
    watched = visits.open("/dashboard", theme="light")
    page = watched.page
    shade = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(shade)
    page.locator("[data-theme-toggle]").press("Enter")
    dark = page.evaluate(shade)
    assert dark != light
    page.goto(page.url + "/models")
    assert page.evaluate(shade) == dark


@pytest.mark.parametrize("name", PAGES)
def test_focus_is_seen_everywhere(visits, scene, name):
    page = visits.open(path_of(scene, name)).page
    settle(page)
    hidden = []
    for _ in range(60):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => {
              const one = document.activeElement;
              if (one === document.body) return null;
              const style = getComputedStyle(one);
              const box = one.getBoundingClientRect();
              const drawn = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
              const seen = drawn && box.width > 0 && box.height > 0;
              return {seen, html: one.outerHTML.slice(0, 120)};
            }"""
        )
        if place is None:
            break
        if not place["seen"]:
            hidden.append(place["html"])
    assert hidden == []
