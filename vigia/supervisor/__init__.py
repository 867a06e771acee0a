"""The all-in-one mode: every process of Vigía on one machine, started, watched and stopped together."""
