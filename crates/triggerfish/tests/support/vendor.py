"""Every service in one: an HTTPS server that answers for all names, and a proxy that leads all of them there.

vendor.py CERTIFICATE KEY RECORD [USER:PASSWORD]: prints the ports of the server and of the proxy; each request is a line of JSON
in RECORD. With a user the proxy wants to know who asks.
"""

import base64
import http.server
import json
import socket
import ssl
import sys
import threading

certificate, key, record = sys.argv[1:4]
user = sys.argv[4] if len(sys.argv) > 4 else None
lock = threading.Lock()


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line = {"method": self.command, "host": self.headers["Host"], "path": self.path,
                "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body.decode()}
        with lock, open(record, "a") as out:
            out.write(json.dumps(line) + "\n")
        text = b"[]" if self.command == "GET" else b'{"ok": true, "code": 0, "StatusCode": 0}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_CONNECT(self):
        given = self.headers.get("Proxy-Authorization", "")
        if user and given != "Basic " + base64.b64encode(user.encode()).decode():
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic realm=test")
            self.end_headers()
            return
        with lock, open(record + ".proxy", "a") as out:
            out.write(self.path + "\n")
        to = socket.create_connection(server.server_address)
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        back = threading.Thread(target=pour, args=(to, self.connection), daemon=True)
        back.start()
        pour(self.connection, to)
        back.join()

    def log_message(self, *_):
        pass


def pour(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], proxy.server_address[1], flush=True)
proxy.serve_forever()
