"""The playground: previews, streamed answers, ratings."""

import pytest
from tests.browser.accessibility import violations
from tests.browser.pages import overflow, picture

PATH = "/dashboard/playground"


def ask(page, text):
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill(text)
    prompt.press("Control+Enter")
    page.locator("[data-rate]").last.wait_for()


@pytest.mark.parametrize("width", [390, 1280])
def test_an_answer_arrives_is_explained_and_rated(visits, scene, width):
    page = visits.open(PATH, width=width, theme="dark" if width == 390 else "light").page
    ask(page, "Explain CRDTs.")
    answer = page.locator(".turn.answer")
    model = answer.locator("[data-model]").inner_text()
    page.get_by_text(f"{model} serves").wait_for()
    answer.get_by_role("button", name="Satisfied", exact=True).press("Enter")
    page.get_by_text("Saved: the router learns from it.").wait_for()
    link = answer.get_by_role("link", name="Why this model: the decision")
    decision = link.get_attribute("href").rpartition("/")[2]
    found = scene.api(f"/v1/decisions/{decision}")
    assert found["model"] == model
    assert (found["score"], found["timeline"][-1]["source"]) == (1.0, "playground")
    assert found["session"].startswith("playground-")
    assert violations(page) == []
    assert overflow(page) == []
    picture(page, f"playground-answered-{width}")
    # The next turn belongs to the same conversation.
    ask(page, "And in one word?")
    assert page.locator(".turn.answer").count() == 2
    last = page.get_by_role("link", name="Why this model: the decision").last
    again = scene.api(f"/v1/decisions/{last.get_attribute('href').rpartition('/')[2]}")
    assert again["session"] == found["session"]
    page.get_by_role("button", name="New conversation").click()
    assert page.locator(".turn").count() == 0


def test_the_floor_is_chosen_by_keyboard_and_sent(visits, scene):
    page = visits.open(PATH).page
    # An SLA without a tenant of its own, and without a budget that decides.
    page.get_by_label("Send to").select_option("floorline/silver")
    slider = page.get_by_role("slider")
    result = page.locator("[data-result]")
    page.get_by_text("would answer the example").wait_for()
    assert slider.input_value() == "70"
    assert not page.get_by_role("button", name="Back to the SLA's floor").is_visible()
    names = [row.split("\t")[1] for row in page.locator("[data-ranges] tbody tr").all_inner_texts()]
    assert len(names) == page.locator("[data-ribbon] span").count() >= 2
    asked = {"messages": [{"role": "user", "content": "Explain CRDTs in two sentences."}]}
    body = {"model": "floorline/silver", "floorline": {"floors": [0.0, 1.0]}, **asked}
    api = scene.http.post("/v1/preview", json=body, headers=scene.headers("operator")).json()
    low, high = (one["model"] for one in api["data"])
    slider.press("Home")
    page.get_by_text(f"{low} would answer").wait_for()
    slider.press("End")
    page.get_by_text(f"{high} would answer").wait_for()
    assert slider.get_attribute("aria-valuetext") == "100\u00a0%"
    slider.press("ArrowLeft")
    page.get_by_text("Floor of the next prompt: 99").wait_for()
    assert "would answer" in result.inner_text()
    ask(page, "Explain CRDTs.")
    href = page.get_by_role("link", name="Why this model: the decision").get_attribute("href")
    assert scene.api(f"/v1/decisions/{href.rpartition('/')[2]}")["floor"] == 0.99
    page.get_by_role("button", name="Back to the SLA's floor").press("Enter")
    assert slider.input_value() == "70"
    page.locator("summary", has_text="Why not another model").press("Enter")
    assert page.locator("[data-candidates] tbody tr").count() == len(api["data"][0]["candidates"])
    assert violations(page) == []
    # A model that is named answers itself: there is nothing to preview.
    page.get_by_label("Send to").select_option("steady")
    assert not slider.is_visible()


def test_a_key_that_only_looks_previews_and_cannot_send(visits):
    page = visits.open(PATH, "acme viewer").page
    page.get_by_text("lacks the scope chat").wait_for()
    assert page.get_by_role("button", name="Send").is_disabled()
    page.get_by_role("textbox", name="Prompt").fill("Explain CRDTs.")
    page.get_by_text("would answer your prompt").wait_for()
    page.get_by_role("textbox", name="Prompt").press("Control+Enter")
    assert page.locator(".turn").count() == 0


def test_an_error_is_shown_and_the_prompt_is_kept(visits, scene):
    watched = visits.open(PATH)
    page = watched.page
    page.get_by_label("Send to").select_option("floorline/trial")
    prompt = page.get_by_role("textbox", name="Prompt")
    prompt.fill("Explain CRDTs.")
    watched.expected.append("429")
    prompt.press("Control+Enter")
    page.locator(".turn.answer").get_by_text("within the budget of SLA 'trial'").wait_for()
    assert prompt.input_value() == "Explain CRDTs."
    assert page.locator(".turn.answer [data-model]").inner_text() == "No answer"
    assert violations(page) == []
