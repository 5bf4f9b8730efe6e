"""Tables of what every model scored and cost on every prompt, and loaders of public formats."""
