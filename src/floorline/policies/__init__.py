"""One file per router: each a small composition of estimator, multipliers and exploration."""
