"""A gateway of one's own, over HTTP, with nothing but Python: it is told to start and stop, and posts events back."""

import base64
import http.server
import json
import os
import threading
import time
import urllib.request

env = os.environ
running = {}


def post(path, body):
    url = "http://127.0.0.1:" + env["GATEWAY_PROCESSOR_CLIENT_HTTP_PORT"] + path
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).read()


def ticks(name, settings, stopped):
    post(env["GATEWAY_HTTP_CONFIG_RUNNING"], {"src": name})
    for n in range(settings["count"]):
        if stopped.is_set():
            return
        payload = base64.b64encode(json.dumps({"tick": n}).encode()).decode()
        post(env["GATEWAY_HTTP_CONFIG_EVENT"], {"src": name, "payload": payload})
        time.sleep(settings["every"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if told["src"] in running:
            running.pop(told["src"]).set()
        if self.path == env["GATEWAY_HTTP_CONFIG_START"]:
            stopped = running[told["src"]] = threading.Event()
            threading.Thread(target=ticks, args=(told["src"], json.loads(told["config"]), stopped), daemon=True).start()
        self.send_response(200)
        self.end_headers()


http.server.ThreadingHTTPServer(("127.0.0.1", int(env["GATEWAY_PROCESSOR_SERVER_HTTP_PORT"])), Handler).serve_forever()
