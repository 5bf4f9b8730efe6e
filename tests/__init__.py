"""The tests; a package, so that they share what lies in ``tests.support``."""
