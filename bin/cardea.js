#!/usr/bin/env node
/**
 * Starts the command on the Node that this project brings, whatever Node ran this file: plain JavaScript for Node 20.19
 * and later. The sources themselves are TypeScript, which Node runs from 24 on.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OLDEST = 24;
const main = new URL('../src/main.ts', import.meta.url);

if (Number.parseInt(process.versions.node, 10) >= OLDEST) {
  await import(main.href);
} else {
  const node = nodeOfProject();
  if (node === undefined) {
    console.error(`cardea: Cardea runs on Node ${OLDEST}, and this is ${process.versions.node}. Run npm ci, which brings one, or install it.`);
    process.exit(1);
  }
  run(node);
}

/** The binary of the package `node`. */
function nodeOfProject() {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('node/package.json'));
    return ['bin/node', 'bin/node.exe'].map((name) => join(folder, name)).find((path) => existsSync(path));
  } catch {
    return undefined;
  }
}

/** Passes on arguments, streams and signals, and ends as the command ends. */
function run(node) {
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  child.once('error', (error) => {
    console.error(`cardea: ${node} cannot be started: ${error.message}`);
    process.exit(1);
  });
  child.once('exit', (code, signal) => {
    for (const name of signals) process.off(name, pass);
    if (signal === null) process.exit(code ?? 1);
    else process.kill(process.pid, signal);
  });
}
