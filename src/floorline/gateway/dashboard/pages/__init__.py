"""The pages, a module each; ``routes`` of each one returns its routes."""
