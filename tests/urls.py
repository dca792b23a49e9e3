"""The URLs of the test suite."""

urlpatterns: list = []
