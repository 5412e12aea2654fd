"""Compiles the library, packs it, and builds it into firmware."""
