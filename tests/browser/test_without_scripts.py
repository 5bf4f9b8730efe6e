"""Pages work without JavaScript: numbers, filters and the navigation are the server's."""

from tests.browser.pages import picture


def test_the_overview_has_its_numbers_and_filters(visits, scene):
    page = visits.open("/dashboard", java_script_enabled=False).page
    status = scene.api("/v1/slas/silver")
    assert f"{status['labels']:,}" in page.locator("[data-live='sla silver']").inner_text()
    page.locator("select[name=sla]").select_option("silver")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**sla=silver**")
    assert page.locator("[data-live='sla gold@acme']").count() == 0
    note = page.locator("[data-plot-note]").first
    assert "needs JavaScript" in note.inner_text()
    picture(page, "overview-without-scripts")


def test_the_menu_of_a_phone_opens(visits):
    page = visits.open("/dashboard", width=390, java_script_enabled=False).page
    link = page.get_by_role("link", name="Models")
    assert not link.is_visible()
    page.get_by_role("button", name="Pages").click()
    link.click()
    page.wait_for_url("**/dashboard/models**")
