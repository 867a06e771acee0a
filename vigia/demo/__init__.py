"""The demo that sells it: a real fleet flies through the whole of Vigía on one machine."""
