"""The shop's own API, and pubsubpull's beside it."""

from django.urls import include, path

from example.shop import views

urlpatterns = [
    path("", views.home),
    path("customers/", views.customers, name="customers"),
    path("customers/<int:pk>/", views.customer, name="customer"),
    path("orders/", views.orders, name="orders"),
    path("orders/<int:pk>/", views.order, name="order"),
    path("pubsubpull/", include("pubsubpull.urls")),
]
