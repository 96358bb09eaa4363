"""The broker amqtt, which speaks MQTT 3.1.1 only, on a port of this machine."""
import asyncio
import sys

from amqtt.broker import Broker


async def serve():
    broker = Broker({
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{sys.argv[1]}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    })
    await broker.start()
    await asyncio.Event().wait()


asyncio.run(serve())
