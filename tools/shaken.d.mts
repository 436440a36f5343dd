// Types of shaken.mjs for the TypeScript that calls it.

import type { Plugin } from 'esbuild'

/** An esbuild plugin; `folder` holds the sources whose words name the calls and models to keep. */
export const shaken: (folder: string) => Plugin
