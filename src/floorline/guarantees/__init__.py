"""What can be said of a promise with statistical honesty."""
