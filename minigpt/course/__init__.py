"""The course around the package: notebooks in, modules, editions, checks out.

Nothing in the chain of chapter modules imports this package.
"""
