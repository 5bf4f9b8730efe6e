"""``floorline`` as another version of itself: its snapshots have a version that is so much higher.

``python other_version.py 1 serve --config floorline.yaml``
"""

import sys

if __name__ == "__main__":
    from floorline.__main__ import run
    from floorline.state import router_snapshot

    router_snapshot._VERSION += int(sys.argv.pop(1))
    run()
