"""A configuration and a changed one; both name the key file ``key`` beside them."""

BEFORE = """
models:
  - {name: small, endpoint: "http://127.0.0.1:8000/v1", output_price: 1, api_key_file: key}
  - {name: medium, endpoint: "http://127.0.0.1:8000/v1"}
slas:
  - {name: gold, floor: 0.9}
  - {name: economy, floor: 0.7}
"""
AFTER = """
models:
  - {name: small, endpoint: "http://127.0.0.1:8000/v1", output_price: 2, api_key_file: key}
  - {name: large, endpoint: "http://127.0.0.1:8000/v1"}
slas:
  - {name: gold, floor: 0.95}
  - {name: silver, floor: 0.8}
store: {url: "sqlite:///other.db", retention: 7d}
server: {port: 9000, max_in_flight: 7}
policy: cheapest
"""
