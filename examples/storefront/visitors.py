"""Visitors: look around in the shop once a second or so, and order something now and then.

What it shows: a service needs nothing of Loopwright; this one is plain blocking code that knows nothing of
signals. The shop may not be open yet when it starts, since `depends_on` waits for a service to be *started*,
so it is patient.

Usage: visitors.py INSTANCES, the number of instances of the shop; each visit goes to one of them at random.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import time

import shop

VISITS = [("GET", "/")] * 6 + [("GET", "/products.json")] * 3 + [("HEAD", "/")] + [("GET", "/no-such-page")]
ORDER_SHARE = 0.15


def visit(port: int) -> str | None:
    """Make one request; returns what is worth telling. OSError or HTTPException if nobody answers."""
    method, path = random.choice(VISITS)
    if random.random() < ORDER_SHARE:
        method, path = "POST", f"/order?item={random.choice(list(shop.PRODUCTS))}"
    connection = http.client.HTTPConnection(shop.HOST, port, timeout=5)
    try:
        connection.request(method, path, headers={"User-Agent": "visitors.py"})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status == http.client.ACCEPTED:
        return f"ordered a {json.loads(body)['item']}"
    expected = http.client.NOT_FOUND if path == "/no-such-page" else http.client.OK
    return None if response.status == expected else f"{method} {path} got {response.status} {response.reason}"


def main(instances: int) -> None:
    """Visit until killed."""
    closed: set[int] = set()
    while True:
        number = random.randint(1, instances)
        try:
            told = visit(shop.port(number))
        except (OSError, http.client.HTTPException) as error:
            if number not in closed:
                print(f"web.{number} does not answer ({error}); I come back later", flush=True)
            closed.add(number)
        else:
            if number in closed:
                print(f"web.{number} answers", flush=True)
            closed.discard(number)
            if told is not None:
                print(f"web.{number}: {told}", flush=True)
        time.sleep(random.uniform(0.6, 1.4))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
    except shop.SetupError as trouble:
        sys.exit(f"visitors: {trouble}")
