// Publishes at QoS 1 over some connections: port, connections, messages/s, seconds, bytes of payload. Prints JSON.
const mqtt = require("mqtt");

const [port, lines, rate, seconds, size] = process.argv.slice(2).map(Number);
const payload = Buffer.alloc(size, "x");
const clients = [];
let sent = 0;
let acknowledged = 0;

function finish(began, cpu) {
  const used = process.cpuUsage(cpu);
  console.log(
    JSON.stringify({
      sent,
      acknowledged,
      rate_per_s: Math.round((acknowledged / seconds) * 10) / 10,
      cpu_s: (used.user + used.system) / 1e6,
      memory_mib: Math.round(process.memoryUsage().rss / 2 ** 20),
      took_s: (Date.now() - began) / 1000,
    })
  );
  process.exit(0);
}

function publishDue(began) {
  const due = Math.min(Math.floor(((Date.now() - began) / 1000) * rate), sent + 5000);
  for (; sent < due; sent += 1) {
    clients[sent % lines].publish(`dothi/v1/213/me-213-${sent % 400000}/up`, payload, { qos: 1 }, () => {
      acknowledged += 1;
    });
  }
}

function run() {
  const began = Date.now();
  const cpu = process.cpuUsage();
  const timer = setInterval(() => publishDue(began), 5);
  setTimeout(() => {
    clearInterval(timer);
    finish(began, cpu);
  }, seconds * 1000);
}

for (let number = 0; number < lines; number += 1) {
  const client = mqtt.connect({ host: "127.0.0.1", port, protocolVersion: 5, clientId: `rival-${number}` });
  client.once("connect", () => {
    clients.push(client);
    if (clients.length === lines) run();
  });
}
