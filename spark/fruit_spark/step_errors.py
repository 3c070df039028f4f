"""The two ways a step can go wrong: one image cannot be used, or the step itself cannot go on."""


class StepError(Exception):
    """Ends the step with exit code 1; its text is the one sentence a user reads last.

    It says what is wrong, with the value, and what to do about it.
    """


class RejectedImage(Exception):  # noqa: N818 - it is not an error of the step: it becomes a row
    """This image cannot be featurized; its text becomes the ``reason`` of its row."""
