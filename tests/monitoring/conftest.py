from native import hearthd  # noqa: F401
