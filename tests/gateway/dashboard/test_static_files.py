import re
from importlib.resources import files

import pytest

from floorline.gateway.dashboard.static_files import static_path


def test_a_file_is_served_under_a_path_with_its_hash_and_kept_for_a_year(gateway):
    answer = gateway.http.get(static_path("floorline.css"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_has_not_changed_is_not_sent_again(gateway):
    path = static_path("charts.js")
    tag = gateway.http.get(path).headers["etag"]
    answer = gateway.http.get(path, headers={"if-none-match": f'"other", {tag}'})
    assert answer.status_code == 304
    assert answer.content == b""


def test_a_file_of_another_version_is_not_kept(gateway):
    path = static_path("floorline.css").replace("/static/", "/static/x")
    assert gateway.http.get(path).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["../dashboard.py", "nothing.css", "vendor/uplot", "%2e%2e/x"])
def test_only_the_files_of_the_folder_are_served(gateway, name):
    folder = static_path("floorline.css").rpartition("/")[0]
    assert gateway.http.get(f"{folder}/{name}").status_code == 404


def test_the_library_of_the_charts_comes_with_its_licence(gateway):
    answer = gateway.http.get(static_path("vendor/uplot/LICENSE"))
    assert "Leon Sorokin" in answer.text
    assert "MIT License" in answer.text


def test_pages_name_their_files_by_content(gateway):
    page = gateway.http.get("/dashboard").text
    found = re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page)
    assert static_path("floorline.js") in found
    assert all(gateway.http.get(path).status_code == 200 for path in found)


def test_the_version_of_the_library_is_the_one_that_is_written_down(gateway):
    script = gateway.http.get(static_path("vendor/uplot/uPlot.iife.min.js")).text
    version = re.search(r"\(v([\d.]+)\)", script[:300])[1]
    written = (files("floorline.gateway.dashboard") / "static/vendor/README.md").read_text()
    assert f"/uPlot) {version}:" in written


def test_notes_about_the_libraries_are_not_served(gateway):
    folder = static_path("floorline.css").rpartition("/")[0]
    assert gateway.http.get(f"{folder}/vendor/README.md").status_code == 404
