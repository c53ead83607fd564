// Pushes once over TLS by Node's own client: node push.js URL CA [CERTIFICATE KEY]
const fs = require("fs");
const https = require("https");

const [url, authority, cert, key] = process.argv.slice(2);
const options = { method: "POST", ca: fs.readFileSync(authority), timeout: 20000 };
if (cert) Object.assign(options, { cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
const request = https.request(url, options, (answer) => {
  answer.resume();
  answer.on("end", () => process.exit(answer.statusCode === 200 ? 0 : 1));
});
request.on("error", (error) => {
  console.error(String(error));
  process.exit(1);
});
request.end("a_b 1\n");
