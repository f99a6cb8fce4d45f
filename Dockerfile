# Cardea in a container: Node 24 runs the TypeScript sources as they are, so there is no build step.
#
# Set at least CARDEA_MASTER_KEY and CARDEA_ORIGIN. Without DATABASE_URL the database is a file in /data.

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund
# A library names TypeScript as an optional peer, so npm keeps it; nothing reads it at run time.
RUN rm -rf node_modules/typescript node_modules/@typescript

FROM node:24-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 CARDEA_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY bin ./bin
COPY examples ./examples
COPY locales ./locales
COPY migrations ./migrations
COPY public ./public
COPY src ./src
COPY views ./views
RUN ln -s /app/bin/cardea.js /usr/local/bin/cardea && install -d -m 0700 -o node -g node /data

# The image's user `node`, as a number: orchestrators can see that it is not root. It may write to /data and nowhere else.
USER 1000:1000
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/health/ready').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts", "serve"]
