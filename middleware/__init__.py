"""placeholder"""


class RequestMiddleware:
    pass
