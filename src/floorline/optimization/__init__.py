"""Linear programs of routing: minimum cost under a floor, maximum quality under budgets."""
