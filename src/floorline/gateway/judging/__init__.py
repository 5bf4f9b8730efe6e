"""Judges, rules and shadow calls: labels that users do not give, beside the requests."""
