"""A gateway as ThingsBoard's own Python SDK makes it: connects, brings a meter, sends telemetry of it."""
import sys
import time

from tb_gateway_mqtt import TBGatewayMqttClient

host, port, token = sys.argv[1:]
gateway = TBGatewayMqttClient(host, int(port), token)
gateway.connect(timeout=60)
until = time.monotonic() + 60
while not gateway.is_connected():
    if time.monotonic() > until:
        sys.exit("the cloud does not let the gateway in")
    time.sleep(0.05)
gateway.gw_connect_device("main", "dlt645")
sent = gateway.gw_send_telemetry("main", [{"ts": 1795168810213, "values": {"voltage_a": 220.1}}])
if sent.get() != 0:
    sys.exit(f"the telemetry is not taken: {sent.get()}")
print("connected, posted, acknowledged")
gateway.disconnect()
