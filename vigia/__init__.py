"""Vigía: predict-and-fix for manufacturers that sell outcomes. The rooms are mapped in docs/architecture.md."""
