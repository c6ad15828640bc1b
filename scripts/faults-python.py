"""Amplitude's own Python client under the same orders as examples/load.rs: environment N, URL, RATE, DEADLINE_S, IDS; one JSON line at the end."""

import json
import logging
import os
import sys
import threading
import time

from amplitude import Amplitude, BaseEvent, Config

logging.disable(logging.CRITICAL)
n, rate, deadline = int(os.environ["N"]), float(os.environ["RATE"]), float(os.environ["DEADLINE_S"])
told = {"delivered": 0, "dropped": 0}
change = threading.Condition()


def settled(event, code, message):
    with change:
        told["delivered" if code == 200 else "dropped"] += 1
        change.notify()


# All else as it comes.
client = Amplitude("demo0000000000000000000000000key", Config(server_url=os.environ["URL"], callback=settled))
start = time.monotonic()
with open(os.environ["IDS"], "a", buffering=1) as ids:
    for i in range(n):
        time.sleep(max(0, start + i / rate - time.monotonic()))
        insert_id = f"python-{os.getpid()}-{i}"
        properties = {
            "product_id": f"sku{i % 1000}",
            "price": 29.99,
            "quantity": i % 7,
            "currency": "USD",
            "tags": ["a", "b", "c"],
            "discounted": i % 2 == 0,
            "category": "Laptops",
            "note": "a somewhat longer string value here",
        }
        who = f"{i % 1000:05}"
        client.track(
            BaseEvent(
                "Product Purchased",
                user_id=f"user-{who}",
                device_id=f"device-{who}",
                insert_id=insert_id,
                event_properties=properties,
            )
        )
        ids.write(insert_id + "\n")
with change:
    change.wait_for(lambda: sum(told.values()) == n, timeout=deadline)
    print(json.dumps({"n": n, **told, "pending": n - sum(told.values())}), flush=True)
# Threads that still wait for an answer would keep the process.
sys.stdout.flush()
os._exit(0)
