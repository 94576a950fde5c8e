// As many MQTT 5 connections as asked for, each a client of MQTT.js with a will: `node connections.js URL COUNT`.
// Says "ready" before the first and "there" after the last, and stays until its input ends.
const mqtt = require("mqtt");
const [url, count] = [process.argv[2], Number(process.argv[3])];
const AT_ONCE = 50;
let asked = 0, there = 0;
function next() {
  const clientId = `rival-${asked++}`;
  const will = { topic: `dothi/v1/213/${clientId}/status`, payload: "offline", qos: 1, retain: false };
  const client = mqtt.connect(url, { clientId, protocolVersion: 5, keepalive: 60, clean: true, will });
  client.once("connect", () => {
    there += 1;
    if (there === count) console.log("there");
    if (asked < count) next();
  });
}
console.log("ready");
process.stdin.once("data", () => {
  for (let i = 0; i < Math.min(AT_ONCE, count); i++) next();
});
process.stdin.on("end", () => process.exit(0));
