"""``python -m floorline``."""

from floorline.cli.app import run

if __name__ == "__main__":
    run()
