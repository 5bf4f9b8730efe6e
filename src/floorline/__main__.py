"""``python -m floorline``."""

from floorline.cli import run

if __name__ == "__main__":
    run()
