from floorline.replay import Spec, compare, replay


def test_a_result_shows_its_scores(simulated):
    (result,) = compare(simulated._replace(name="<table>"), [Spec("cheapest", 0.8, seed=3)])
    scores = result.scores
    assert repr(result) == (
        f"Result('cheapest' on '<table>', seed 3: satisfaction {scores.satisfaction:.4g} at floor "
        f"0.8, cost {scores.cost_per_static_mix:.4g} of the static mix)"
    )
    shown = result._repr_html_()
    assert shown.startswith("<table><caption>cheapest on &lt;table&gt;</caption>")
    assert f"<th>satisfaction</th><td>{scores.satisfaction:.4g}</td>" in shown
    assert f"<th>served by {simulated.zoo.names[0]}</th>" in shown
    assert shown.count("<polyline") == 1
    assert len(shown) < 4000


def test_a_comparison_is_a_list_that_notebooks_show(simulated):
    specs = [
        Spec(policy, floor, seed=seed)
        for floor in (0.6, 0.8)
        for policy in ("mess_plus", "best_fixed")
        for seed in (0, 1)
    ]
    found = compare(simulated._replace(name="<table>"), specs, jobs=1)
    assert isinstance(found, list)
    assert len(found) == 8
    shown = found._repr_html_()
    assert "<caption>&lt;table&gt;, feedback full</caption>" in shown
    assert shown.count("<tr><td>0.6</td><td>mess_plus</td>") == 1
    mean = sum(result.scores.satisfaction for result in found[:2]) / 2
    assert f"{mean:.3f}\xa0±" in shown
    assert "-0%" not in shown
    assert shown.count("<svg") == 2
    assert shown.count("<polyline") == 4
    assert "No results" in type(found)()._repr_html_()


def test_a_run_shows_what_it_measured(simulated):
    run = replay(simulated, Spec("cheapest", 0.8, seed=3))
    mean = run.satisfied.mean()
    assert repr(run) == (
        f"Run('cheapest', seed 3: {len(run.model):,} requests, satisfaction {mean:.4g} at floor "
        f"0.8, cost {run.cost.sum():.4g})"
    )
    shown = run._repr_html_()
    assert f"<th>satisfaction</th><td>{mean:.4g}</td>" in shown
    assert shown.count("<polyline") == 1
