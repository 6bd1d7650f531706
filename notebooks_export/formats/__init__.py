"""Notebooks in other forms: HTML, Markdown, percent scripts, PDF."""
