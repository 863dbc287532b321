"""Comparisons of fastnn with other libraries; docs/benchmarks.md says how to read them."""
