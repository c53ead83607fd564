// Pushes a registry with prom-client, or prints it as text: node push.js URL-BASE MODE
const client = require("prom-client");

const [base, mode] = process.argv.slice(2);

function fill(registry) {
  const registers = [registry];
  const orders = new client.Counter({ name: "shop_orders_total", help: "Orders.", labelNames: ["state"], registers });
  orders.inc({ state: "paid" }, 12);
  orders.inc({ state: 'he said "no", \\ and left\nangry' }, 3);
  new client.Gauge({ name: "room_temp", help: "Warmth.", labelNames: ["room"], registers }).set({ room: "küche 日本" }, -27.25);
  const latency = new client.Histogram({ name: "web_latency_seconds", help: "Time.", labelNames: ["route"], buckets: [0.005, 0.5, 1, 2.5], registers });
  for (const value of [0.001, 0.3, 0.7, 9]) latency.observe({ route: "/a b" }, value);
  const size = new client.Summary({ name: "web_size_bytes", help: "Size.", percentiles: [0.5, 0.99], registers });
  for (const value of [100, 200, 1e6]) size.observe(value);
  return registry;
}

async function main() {
  const type = mode === "openmetrics" ? client.Registry.OPENMETRICS_CONTENT_TYPE : client.Registry.PROMETHEUS_CONTENT_TYPE;
  const registry = fill(new client.Registry(type));
  if (mode === "text") {
    process.stdout.write(await registry.metrics());
    return;
  }
  const headers = mode === "gzip" ? { "Content-Encoding": "gzip" } : {};
  const gateway = new client.Pushgateway(base, { timeout: 5000, headers }, registry);
  const target = { jobName: "clients", groupings: { lang: "x" } };
  const call = { push: "push", add: "pushAdd", gzip: "push", openmetrics: "push", delete: "delete" }[mode];
  const { resp } = await gateway[call](target);
  if (resp.statusCode >= 400) throw new Error(`status ${resp.statusCode}`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
