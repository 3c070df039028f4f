"""The errors of EMR's API, as clients see them."""


class ApiError(Exception):
    """Any error of the API: ``type`` is what botocore shows as the error code."""

    type = "InternalServerException"
    http_status = 400

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class ValidationError(ApiError):
    """Input that does not fit the model, or that the job flow operations refuse."""

    type = "ValidationException"


class InvalidRequestError(ApiError):
    """Input that the newer operations (Describe*, List*, tags, ...) refuse."""

    type = "InvalidRequestException"


class UnknownOperationError(ApiError):
    type = "UnknownOperationException"


class MissingTokenError(ApiError):
    type = "MissingAuthenticationTokenException"


class SerializationError(ApiError):
    type = "SerializationException"


class InternalError(ApiError):
    type = "InternalServerException"
    http_status = 500
