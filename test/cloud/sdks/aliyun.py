"""A device as Alibaba's own Python SDK makes it: connects, posts a property, awaits the reply."""
import queue
import sys

from linkkit import linkkit

host, port, product, device, secret, tsl = sys.argv[1:]
connected, replies = queue.Queue(), queue.Queue()
link = linkkit.LinkKit(host_name="cn-shanghai", product_key=product, device_name=device, device_secret=secret)
link.config_mqtt(port=int(port), secure="", endpoint=host, check_hostname=False)
link.on_connect = lambda session, rc, userdata: connected.put(rc)
link.on_thing_enable = lambda userdata: connected.put("thing")
link.on_thing_prop_post = lambda request, code, data, message, userdata: replies.put((request, code))
link.thing_setup(tsl)
link.connect_async()
if connected.get(timeout=60) != 0:
    sys.exit("the cloud does not let the device in")
connected.get(timeout=60)
rc, request = link.thing_post_property({"voltage_a": 220.1})
if rc != 0:
    sys.exit(f"the SDK does not post: {rc}")
answered, code = replies.get(timeout=60)
if str(answered) != str(request) or code != 200:
    sys.exit(f"post {request} is answered by {answered} with {code}")
print("connected, posted, answered")
link.disconnect()
