"""Files beside the code state the same facts as the code."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from floorline import __version__

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github").rglob("*.yml"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def extras():
    with (ROOT / "pyproject.toml").open("rb") as stream:
        return tomllib.load(stream)["project"]


def test_the_citation_has_the_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_the_chart_and_the_image_have_the_version():
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "floorline" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_actions_of_workflows_are_named_by_the_hash_of_a_commit():
    for path in WORKFLOWS:
        for action in re.findall(r"uses: (\S+.*)", path.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action), (
                f"{path.name}: {action}"
            )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_forms_and_workflows_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_tests_run_on_every_python_that_the_package_names():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(extras()["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_locks_pin_and_hash_everything_and_name_no_host(path):
    text = path.read_text()
    entries = re.split(r"\n(?=\w)", text)[1:]
    few = {"any-llm.txt": 2, "image.txt": 5, "model.txt": 1}
    assert len(entries) > few.get(path.name, 30)
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


@pytest.mark.parametrize(
    ("lock", "names"),
    [
        ("demo", ["bench"]),
        ("serve", ["gateway"]),
        ("dev", ["dev"]),
        ("full", ["upstream-test"]),
        ("engines", ["dask", "ray"]),
    ],
)
def test_locks_have_what_the_extras_ask_for(lock, names):
    project = extras()
    declared = project["optional-dependencies"]
    wanted, todo = set(), list(names)
    while todo:
        for requirement in declared[todo.pop()]:
            name = re.match(r"[\w.-]+", requirement)[0].replace(".", "-")
            inner = re.match(r"floorline\[(.*)\]", requirement)
            if inner:
                todo += inner[1].split(",")
            else:
                wanted.add(name.lower())
    wanted |= {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    locked = set(re.findall(r"^([\w-]+)(?:\[[\w,]+\])?==", text, flags=re.MULTILINE))
    assert wanted - locked == set()


def test_releases_of_litellm_by_an_attacker_are_excluded():
    (requirement,) = extras()["optional-dependencies"]["litellm"]
    assert "!=1.82.7" in requirement
    assert "!=1.82.8" in requirement


NAMED_TESTS = re.findall(
    r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`",
    "".join(
        (ROOT / page).read_text(encoding="utf-8")
        for page in ("SECURITY.md", "docs/compatibility.md")
    ),
)


@pytest.mark.parametrize(("file", "function"), NAMED_TESTS)
def test_the_tests_that_the_documents_name_exist(file, function):
    assert f"def {function}" in (ROOT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", re.findall(r"`(attack_\w+\.py)`", (ROOT / "SECURITY.md").read_text())
)
def test_the_attacks_that_the_threat_model_names_exist(name):
    assert (ROOT / "benchmarks" / name).is_file()
