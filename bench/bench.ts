/**
 * `npm run bench`: everything that is compared with oidc-provider alone (flows.ts), then what each flow costs the database
 * (round-trips.ts), and whether realms stay quick when there are many (realms.ts). `npm run bench -- 3 3` takes three rounds of three seconds.
 */
await import('./flows.ts');
console.log();
await import('./round-trips.ts');
console.log();
// Its own number of realms, and not what the rounds were given as.
process.argv.splice(2);
await import('./realms.ts');

export {};
