"""Side by side with plain jupyter_client, in one run: ``python -m benchmarks`` or ``make bench``.

Times on a shared machine drift, so the two sides take turns and only the ratio of their medians is compared.
Nothing here fails because of a time.
"""
