"""Why AWS gave no answer, in a sentence with what to do: it was never asked, or not reached."""

from typing import Final

from botocore import exceptions

_NOBODY: Final = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.ConfigNotFound,
    exceptions.ConfigParseError,
    exceptions.InvalidConfigError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
"""Raised before anything is sent: repeated, the call fails again."""
SIGN_IN: Final = "set AWS_PROFILE, or sign in with `aws configure sso`"
FIND_A_WAY: Final = "look at the network, and at AWS_ENDPOINT_URL"


def never_asked(error: exceptions.BotoCoreError) -> bool:
    """Whether the credentials or the profile are what is wrong."""
    return isinstance(error, _NOBODY)


def why(error: exceptions.BotoCoreError) -> str:
    said = str(error).rstrip(".")
    if never_asked(error):
        return f"AWS was not asked, for want of credentials ({said}): {SIGN_IN}."
    return f"AWS was not reached ({said}): {FIND_A_WAY}."
