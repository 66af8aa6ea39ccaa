import { defineConfig } from 'vite';

// `npm run dev` shows the page against a running store: CUSP_STORE=http://127.0.0.1:8480 CUSP_TOKEN=... npm run dev
const env = (globalThis as { process?: { env: Record<string, string | undefined> } }).process?.env ?? {};
const store = env['CUSP_STORE'] ?? 'http://127.0.0.1:8480';

export default defineConfig({
  build: { target: 'es2022', chunkSizeWarningLimit: 700 },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': {
        target: store,
        ws: true,
        changeOrigin: true,
        headers: { authorization: `Bearer ${env['CUSP_TOKEN'] ?? ''}`, origin: store },
      },
    },
  },
});
