"""A gateway of one's own, over gRPC: counts up, as often and as far as its configuration says.

Needs `pip install grpcio-tools`. The port comes from GATEWAY_SERVER_PORT (protocol Eventing), or from
GATEWAY_PROCESSOR_GRPC_SERVER_PORT (protocol GatewayExecutor).
"""

import concurrent.futures
import json
import os
import pathlib
import sys
import time

import grpc

# The protocols lie beside this file, or in docs/proto of the repository.
here = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(here), str(here.parent.parent / "docs" / "proto")]


def ticks(text, context):
    """The payloads of a configuration such as {"every": 0.1, "count": 3}."""
    settings = json.loads(text)
    for n in range(settings.get("count", 10**9)):
        if not context.is_active():
            return
        yield json.dumps({"tick": n}).encode()
        time.sleep(settings["every"])
    while context.is_active():
        time.sleep(0.1)


def serve_eventing(server):
    messages, services = grpc.protos_and_services("eventing.proto")

    class Ticker(services.EventingServicer):
        def ValidateEventSource(self, source, context):
            try:
                json.loads(source.value)["every"]
            except (ValueError, KeyError, TypeError):
                return messages.ValidEventSource(isValid=False, reason='expected {"every": seconds}')
            return messages.ValidEventSource(isValid=True)

        def StartEventSource(self, source, context):
            for payload in ticks(source.value, context):
                yield messages.Event(name=source.name, payload=payload)

    services.add_EventingServicer_to_server(Ticker(), server)


def serve_executor(server):
    messages, services = grpc.protos_and_services("gateway_executor.proto")

    class Ticker(services.GatewayExecutorServicer):
        def RunGateway(self, configuration, context):
            for payload in ticks(configuration.config, context):
                yield messages.Event(data=payload)

    services.add_GatewayExecutorServicer_to_server(Ticker(), server)


server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=64))
if "GATEWAY_SERVER_PORT" in os.environ:
    serve_eventing(server)
    port = os.environ["GATEWAY_SERVER_PORT"]
else:
    serve_executor(server)
    port = os.environ["GATEWAY_PROCESSOR_GRPC_SERVER_PORT"]
server.add_insecure_port("127.0.0.1:" + port)
server.start()
print("serving on port", port, flush=True)
server.wait_for_termination()
