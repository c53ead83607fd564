"""Pushes a registry with prometheus_client, or prints it as text: python_push.py URL-BASE MODE"""

import inspect
import os
import sys
import urllib.request

os.environ["PROMETHEUS_DISABLE_CREATED_SERIES"] = "True"

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary  # noqa: E402
from prometheus_client import delete_from_gateway, generate_latest, push_to_gateway, pushadd_to_gateway  # noqa: E402
from prometheus_client import openmetrics  # noqa: E402
from prometheus_client.openmetrics import exposition  # noqa: E402,F401


def registry():
    registry = CollectorRegistry()
    orders = Counter("shop_orders", "Orders.", ["state"], registry=registry)
    orders.labels("paid").inc(12)
    orders.labels('he said "no", \\ and left\nangry').inc(3)
    Gauge("room_temp", "Warmth.", ["room"], registry=registry).labels("küche 日本").set(-27.25)
    latency = Histogram("web_latency_seconds", "Time.", ["route"], buckets=[0.005, 0.5, 1, 2.5], registry=registry)
    for value in (0.001, 0.3, 0.7, 9):
        latency.labels("/a b").observe(value)
    Summary("web_size_bytes", "Size.", registry=registry).observe(1e6)
    Info("build", "Build.", registry=registry).info({"version": "1.2", "path": "C:\\x"})
    Enum("door_state", "Door.", states=["open", "shut"], registry=registry).state("shut")
    return registry


def main():
    base, mode = sys.argv[1:]
    host = base.removeprefix("http://")
    grouping = {"job": "clients", "grouping_key": {"lang": "x"}}
    offers_compression = "compression" in inspect.signature(push_to_gateway).parameters
    if mode == "text":
        sys.stdout.buffer.write(generate_latest(registry()))
    elif mode == "push":
        push_to_gateway(host, registry=registry(), **grouping)
    elif mode == "add":
        pushadd_to_gateway(host, registry=registry(), **grouping)
    elif mode == "delete":
        delete_from_gateway(host, **grouping)
    elif mode in ("gzip", "snappy") and offers_compression:
        push_to_gateway(host, registry=registry(), compression=mode, **grouping)
    elif mode in ("gzip", "snappy"):
        # The client does not offer it: the same exposition, compressed by hand.
        import gzip

        import snappy

        body = generate_latest(registry())
        body = gzip.compress(body) if mode == "gzip" else snappy.compress(body)
        post(base, body, {"Content-Encoding": mode})
    elif mode == "openmetrics":
        body = openmetrics.exposition.generate_latest(registry())
        post(base, body, {"Content-Type": openmetrics.exposition.CONTENT_TYPE_LATEST})


def post(base, body, headers):
    request = urllib.request.Request(f"{base}/metrics/job/clients/lang/x", body, headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200, answer.status


main()
