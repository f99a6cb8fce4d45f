/**
 * One argon2id verification a request, with the parameters that Cardea has by default: what a full sign-in is measured
 * against. Usage: node bench/argon2.ts PORT
 */
import { createServer } from 'node:http';
import { loadConfig } from '../src/config.ts';
import { Argon2Hasher } from '../src/crypto/passwords.ts';

const hasher = new Argon2Hasher({ ...loadConfig({}).passwordHash, queueLimit: 1_000 });
const phc = await hasher.hash('correct horse');
createServer(async (_request, response) => {
  response.statusCode = (await hasher.verify(phc, 'correct horse')) ? 200 : 500;
  response.end('verified');
}).listen(Number(process.argv[2]), '127.0.0.1');
