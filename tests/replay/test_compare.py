from floorline.replay import Spec, compare


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
    assert len(shown) < 3000
