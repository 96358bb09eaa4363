// A gateway as Alibaba's own SDK for Node.js makes it: connects, adds a meter to its topology, logs it in,
// posts a property of it and an event.
const sdk = require(process.argv[2] + "/alibabacloud-iot-device-sdk");
const [address, productKey, deviceName, deviceSecret, meterKey, meterName, meterSecret] = process.argv.slice(3);
const fail = (what) => { console.error(what); process.exit(1); };
setTimeout(() => fail("not done within 60 s"), 60000);
const good = (what, next) => (reply) => (reply.code === 200 ? next() : fail(what + ": " + JSON.stringify(reply)));

const gateway = sdk.gateway({ productKey, deviceName, deviceSecret, brokerUrl: "mqtt://" + address });
const meter = { productKey: meterKey, deviceName: meterName, deviceSecret: meterSecret };
gateway.on("error", (err) => fail("the cloud does not let the gateway in: " + err));
gateway.once("connect", () => gateway.addTopo([meter], good("topology", () => {
  const device = gateway.login(meter, good("login", () => {}));
  // It is connected when it is logged in and has asked for its topics.
  device.on("connect", () => device.postProps({ voltage_a: 220.1 }, good("property", () => {
    device.postEvent("limit_passed", { item: "voltage_a", reading: 253.4 }, good("event", () => {
      console.log("connected, logged in, posted, answered");
      process.exit(0);
    }));
  })));
})));
