"""Public benchmarks: their files, their protocols, their figures."""
