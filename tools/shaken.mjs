// Leaves out of a bundle what nobody calls of Alibaba's SDK. Its packages are CommonJS, one class
// with all calls of a product and one list of all models, so that esbuild can drop nothing by
// itself: 6.7 MB, and 186 MiB of memory once loaded, for a dozen calls. What is kept is found by
// name in our own sources.

import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const packages = /@alicloud\/(?:ecs|vpc)\d+\/dist\//

/** An esbuild plugin; `folder` holds the sources whose words name the calls and models to keep. */
export const shaken = folder => ({
  name: 'shaken',
  setup: build => {
    const words = wordsIn(folder)
    build.onLoad({ filter: new RegExp(`${packages.source}client\\.js$`) }, async ({ path }) => ({
      contents: withoutCalls(await readFile(path, 'utf8'), await words),
    }))
    build.onLoad(
      { filter: new RegExp(`${packages.source}models/model\\.js$`) },
      async ({ path }) => {
        const client = await readFile(join(dirname(dirname(path)), 'client.js'), 'utf8')
        const named = modelsIn(withoutCalls(client, await words))
        const kept = new Set([...(await words), ...named])
        return { contents: withoutModels(await readFile(path, 'utf8'), kept) }
      },
    )
  },
})

const wordsIn = async folder => {
  const files = (await readdir(folder)).filter(name => /(?<!\.test)\.ts$/.test(name))
  const texts = await Promise.all(files.map(name => readFile(join(folder, name), 'utf8')))
  return wordsOf(texts.join('\n'))
}

// Not by word: the comments of calls that were left out are still there, and name theirs.
const modelsIn = text => [...text.matchAll(/\$_model\.(\w+)/g)].map(([, model]) => model)

const wordsOf = text => new Set(text.match(/\w+/g))

// Every call is two methods, `name` and `nameWithOptions`, that begin and end at the same depth.
const withoutCalls = (text, words) =>
  text
    .split(/\n(?= {4}(?:async )?\w+\([^\n]*\) \{\n| {4}\/\*\*\n|\}\n)/)
    .filter(part => {
      const call = /^ {4}async (\w+?)(?:WithOptions)?\(/.exec(part)?.[1]
      return call === undefined || words.has(call)
    })
    .join('\n')

// One requirement and one getter for each model. A list of another form stays as it is.
const withoutModels = (text, words) => {
  const required = /^(?:var|const) (\w+) = require\("([^"]+)"\);$/gm
  const files = new Map([...text.matchAll(required)].map(([, name, file]) => [name, file]))
  const getter = /^Object\.defineProperty\(exports, "(\w+)", .* return (\w+)\.\w+; \} \}\);$/gm
  const models = [...text.matchAll(getter)]
  if (models.length === 0) return text
  const lines = models
    .filter(([, model]) => words.has(model))
    .map(([, model, name]) => `exports.${model} = require("${files.get(name)}").${model};`)
  return ['Object.defineProperty(exports, "__esModule", { value: true });', ...lines].join('\n')
}
