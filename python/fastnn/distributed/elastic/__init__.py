"""Programs in several processes that are started again when they fail: only names."""
