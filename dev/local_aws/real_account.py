"""Local AWS has nothing to do with the account that a developer's shell may name."""

import os


def forget_it() -> None:
    """Take profile, token, endpoints and all else that AWS's clients read out of the environment.

    Processes that are started later inherit none of it. A profile that is not here would fail every client.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
