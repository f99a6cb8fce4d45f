/**
 * `npm run bench`: everything that is compared with oidc-provider alone (flows.ts), then what each flow costs the database
 * (round-trips.ts). `npm run bench -- 3 3` takes three rounds of three seconds.
 */
await import('./flows.ts');
console.log();
await import('./round-trips.ts');

export {};
