"""What policies know of budgets: what is left, and how many requests still come."""
