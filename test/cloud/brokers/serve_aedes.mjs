// The broker aedes, which speaks MQTT 3.1.1 and 3.1 only, on a port of this machine.
import { createServer } from "node:net";

const { Aedes } = await import(process.argv[2] + "/aedes/aedes.js");
const broker = await Aedes.createBroker();
createServer(broker.handle).listen(Number(process.argv[3]), "127.0.0.1");
