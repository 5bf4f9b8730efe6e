"""Access to the private state of a router, for tests of that state."""

from floorline.state.fold import Fold


def fold_of(router) -> Fold:
    """Fold behind a router."""
    return router._fold
