"""A second authorization server for the tests, of other makers: PyPI's canaille on loopback, over TLS, with a user who is always signed in and
consents to all.

As server.mjs: the first line on its input is JSON with `cert` and `key`, the first line that it prints is {"issuer"}, it ends when its input
does, and it writes what passes to the file that AMPLITUDE_TEST_EXCHANGES names.
"""

import json
import logging
import os
import socket
import ssl
import sys
import tempfile
import threading
from urllib.parse import parse_qsl, urlsplit

from canaille import create_app
from canaille.app import models
from canaille.app.session import login_user
from canaille.backends import Backend
from flask import g, request
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

settings = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
logging.disable(logging.CRITICAL)


class Quiet(WSGIRequestHandler):
    def log_request(self, *_args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.TLSv1_3
with tempfile.NamedTemporaryFile("w") as pem:
    pem.write(settings["cert"] + settings["key"])
    pem.flush()
    context.load_cert_chain(pem.name)

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
app = create_app(
    config={
        "SECRET_KEY": "the cookies of a test need no secret",
        "SERVER_NAME": f"127.0.0.1:{port}",
        "PREFERRED_URL_SCHEME": "https",
        "CANAILLE": {"DATABASE": "memory", "ENABLE_REGISTRATION": False},
        "CANAILLE_OIDC": {
            "DYNAMIC_CLIENT_REGISTRATION_OPEN": True,
            "REQUIRE_NONCE": False,
            "ACTIVE_JWKS": [RSAKey.generate_key(2048).as_dict(private=True)],
        },
    }
)

# The user is not asked.
models.Client.trusted = property(lambda _client: True)

with app.app_context():
    user = models.User(user_name="user", family_name="User", emails=["user@app.example"], formatted_name="User")
    Backend.instance.save(user)


@app.before_request
def sign_in():
    if not getattr(g, "session", None):
        login_user(user)


@app.after_request
def write(answer):
    if path := os.environ.get("AMPLITUDE_TEST_EXCHANGES"):
        what = {
            "url": request.full_path.rstrip("?"),
            "agent": request.headers.get("user-agent"),
            "authorization": request.headers.get("authorization"),
            "request": [request.values.to_dict(), request.get_json(silent=True)],
            "redirect": dict(parse_qsl(urlsplit(answer.location or "").query)),
            "answer": answer.get_json(silent=True),
        }
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")
    return answer


server = make_server("127.0.0.1", port, app, threaded=True, request_handler=Quiet, ssl_context=context, fd=listener.fileno())
print(json.dumps({"issuer": f"https://127.0.0.1:{port}"}), flush=True)
server.serve_forever()
