"""Reference points that every result table carries."""
