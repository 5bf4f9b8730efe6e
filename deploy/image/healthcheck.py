"""Health check of a container without a shell: /healthz must answer 200."""

import http.client
import os
import sys

PORT = int(os.environ.get("FLOORLINE_PORT", "8080"))

connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=2)
connection.request("GET", "/healthz")
sys.exit(connection.getresponse().status != 200)
