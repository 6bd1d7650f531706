"""Kernels: where they come from, and how their supervisors are spoken to."""
