// LangChain's client for JavaScript, as its users call it. Prints what it saw as one JSON object.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.HEARTH_CLIENT_JAVASCRIPT}/`);
const { SessionsPythonREPLTool } = await import(pathToFileURL(require.resolve("@langchain/azure-dynamic-sessions")));

const [sessionId, fileName, text, figure] = process.argv.slice(2);
const tool = new SessionsPythonREPLTool({ poolManagementEndpoint: process.env.HEARTH_CLIENT_ENDPOINT, sessionId });
const seen = {
  assigned: JSON.parse(await tool.invoke("x = 41")),
  computed: JSON.parse(await tool.invoke("print('hi')\nx + 1")),
  failed: JSON.parse(await tool.invoke("{}['missing']")),
  uploaded: await tool.uploadFile({ data: new Blob([text]), remoteFilename: fileName }),
  listed: (await tool.listFiles()).map((file) => file.filename),
  downloaded: await (await tool.downloadFile({ remoteFilename: fileName })).text(),
  missing: await tool.downloadFile({ remoteFilename: "missing.txt" }).then(() => "found", (error) => error.message),
  picture: JSON.parse(await tool.invoke(figure)),
};
console.log(JSON.stringify(seen));
