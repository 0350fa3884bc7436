// The data plane by Node's own fetch and FormData (undici), which JavaScript's clients of Dynamic Sessions are made of:
// its connections are kept, its form data has names as raw UTF-8. Prints what it saw as one JSON object.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.HEARTH_CLIENT_JAVASCRIPT}/`);
const { DefaultAzureCredential } = require("@azure/identity");

const [identifier, fileName, text, figure] = process.argv.slice(2);
const { token } = await new DefaultAzureCredential().getToken("https://acasessions.io/.default");

async function call(method, path, body, headers) {
  const query = `identifier=${encodeURIComponent(identifier)}&api-version=2024-02-02-preview`;
  const response = await fetch(`${process.env.HEARTH_CLIENT_ENDPOINT}/${path}?${query}`, {
    method, body, headers: { Authorization: `Bearer ${token}`, ...headers },
  });
  if (!response.ok) {
    return { httpStatus: response.status, ...(await response.json()) };
  }
  return response;
}

async function execute(code) {
  const body = JSON.stringify({ properties: { codeInputType: "inline", executionType: "synchronous", code } });
  return (await (await call("POST", "code/execute", body, { "Content-Type": "application/json" })).json()).properties;
}

const form = new FormData();
form.append("file", new Blob([text]), fileName);
const seen = {
  assigned: await execute("x = 41"),
  computed: await execute("print('hi')\nx + 1"),
  failed: await execute("{}['missing']"),
  uploaded: (await (await call("POST", "files/upload", form)).json()).value[0].properties,
  listed: (await (await call("GET", "files")).json()).value.map((file) => file.properties.filename),
  // Raw, as LangChain's JavaScript client has it: fetch escapes what cannot stand in an address.
  downloaded: await (await call("GET", `files/content/${fileName}`)).text(),
  missing: await call("GET", "files/content/missing.txt"),
  picture: await execute(figure),
};
console.log(JSON.stringify(seen));
