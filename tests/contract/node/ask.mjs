// Asks with OpenAI's client for Node: each line read is {method, options, request}, each line
// printed is what came of it: {answer} or {error}. A method is create, parse, stream or models.
import OpenAI, { APIError } from "openai";
import { createInterface } from "node:readline";

const methods = {
  create: (client, body) => client.chat.completions.create(body),
  parse: (client, body) => client.chat.completions.parse(body),
  stream: async (client, body) =>
    all(await client.chat.completions.create({ ...body, stream: true })),
  models: (client) => all(client.models.list()),
};

async function all(items) {
  const found = [];
  for await (const one of items) found.push(one);
  return found;
}

function told(error) {
  if (!(error instanceof APIError)) return { class: "other", words: String(error) };
  const { status = null, code = null, type = null, param = null } = error;
  return { class: error.constructor.name, status, code, type, param };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { method, options, request } = JSON.parse(line);
  let outcome;
  try {
    outcome = { answer: await methods[method](new OpenAI(options), request) };
  } catch (error) {
    outcome = { error: told(error) };
  }
  console.log(JSON.stringify(outcome));
}
