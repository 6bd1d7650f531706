"""The command ``threadbook …``: one small module for each group of commands, and what they share.

Importing a module of this package is quick: what takes time to import is imported by the command that needs it, so
that ``--help`` and usage errors answer at once.
"""
