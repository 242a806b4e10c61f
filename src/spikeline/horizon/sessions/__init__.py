"""One session made ready: checked, binned, each unit described, features on one scale."""
