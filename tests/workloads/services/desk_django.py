"""desk.py in Django (`desk_django:app`)."""

from desk import help_me, pieces, work
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none", USE_TZ=True)


def whole(request):
    work(request.GET["call"])
    return JsonResponse({})


def in_pieces(request):
    return StreamingHttpResponse(pieces(request.GET["call"]))


def with_helper(request):
    help_me(request.GET["call"])
    return JsonResponse({})


urlpatterns = [path("work", whole), path("pieces", in_pieces), path("helper", with_helper)]
app = get_wsgi_application()
