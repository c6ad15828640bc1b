"""Amplitude's own Python client, led by a test: commands come as lines of JSON, outcomes go as lines of JSON.

Arguments: the API key and the client's configuration as JSON. Commands: ["track", event], ["advance", ms], ["end"].
"""

import json
import logging
import sys
import threading

from amplitude import Amplitude, BaseEvent, Config, utils

logging.disable(logging.CRITICAL)
writing = threading.Lock()
ahead_ms = 0
system_ms = utils.current_milliseconds
# What the client asks when a wait is over.
utils.current_milliseconds = lambda: system_ms() + ahead_ms


def tell(line):
    with writing:
        print(json.dumps(line), flush=True)


def settled(event, code, message):
    tell({"event": event.get_event_body(), "code": code, "message": message})


client = Amplitude(sys.argv[1], Config(callback=settled, **json.loads(sys.argv[2])))
for line in sys.stdin:
    command, *arguments = json.loads(line)
    if command == "track":
        client.track(BaseEvent(**arguments[0]))
    elif command == "advance":
        ahead_ms += arguments[0]
    elif command == "end":
        # Sends what waits, once, and joins the threads: nothing is told after it.
        client.shutdown()
        tell({"ended": True})
        break
    else:
        raise ValueError(command)
