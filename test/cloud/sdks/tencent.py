"""A gateway as Tencent's own Python SDK makes it: connects, has a meter go online, reports of both."""
import json
import queue
import socket
import sys
import time

from explorer.explorer import QcloudExplorer

host, port, file = sys.argv[1:]
# The SDK makes the host of the product id, and knows one port.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda name, number, *more, **named: resolve(host, int(port), *more, **named)

with open(file) as settings:
    who = json.load(settings)
product, device = who["productId"], who["deviceName"]
meter = who["subDev"]["subdev_list"][0]
replies = queue.Queue()
explorer = QcloudExplorer(device_file=file, tls=False)
explorer.registerMqttCallback(lambda *a: None, lambda *a: None, lambda topic, payload, qos, userdata: None, lambda *a: None, lambda *a: None, lambda *a: None)
explorer.connect()
until = time.monotonic() + 60
while not explorer.isMqttConnected():
    if time.monotonic() > until:
        sys.exit("the cloud does not let the gateway in")
    time.sleep(0.05)
explorer.gatewayInit()
rc = explorer.gatewaySubdevOnline(meter["sub_productId"], meter["sub_devName"])
if (rc[0] if isinstance(rc, tuple) else rc) != 0:
    sys.exit(f"the meter does not go online: {rc}")
for of in ((product, device), (meter["sub_productId"], meter["sub_devName"])):
    explorer.templateInit(*of, lambda topic, qos, payload, userdata: replies.put(payload), None, None, None)
    token = f"{of[0]}-1"
    explorer.templateReport(*of, {"method": "report", "clientToken": token, "timestamp": int(time.time() * 1000), "params": {"voltage_a": 220.1}})
    while True:
        reply = replies.get(timeout=60)
        if reply.get("clientToken") == token:
            break
    if reply["method"] != "report_reply" or reply["code"] != 0:
        sys.exit(f"the report is answered by {reply}")
print("connected, online, reported, answered")
explorer.disconnect()
