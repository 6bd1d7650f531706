"""The loaders of ``load_file``: what a file is, and what opens it.

``source``       one file: its bytes, unpacked, and what has to be said about it
``kinds``        the table: kind → label, loader, extensions
``recognition``  which kind a file is, by content first, then by extension
The others hold the loaders, one module for each family of formats.

Importing any of them imports the standard library only; a loader imports its own library when it runs.
"""
