"""Linear programs: least cost for a floor, most quality for budgets."""
