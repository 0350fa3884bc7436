"""Jupyter kernels whose code runs in the sessions of a Hearth service: each kernel is one session, in its own microVM."""
