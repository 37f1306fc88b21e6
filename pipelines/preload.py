"""What every worker imports: imported once, by the process that workers are forked from.

A forked worker starts within a second where a fresh one needs five for TensorFlow, and shares
its memory. Importing runs no operation, so TensorFlow has no threads yet that a fork would lose.
"""

from pipelines import runtime

with runtime.no_native_noise():
    import pipelines.pictures
    import pipelines.session  # noqa: F401 - importing both is the point
