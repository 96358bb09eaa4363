// Builds the page into ../page, or with --check compares what is there with a fresh build.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const here = dirname(fileURLToPath(import.meta.url))
const page = join(here, '../page')
const most = 200_000 // bytes of the whole page, compressed

const result = await build({
  absWorkingDir: here,
  entryPoints: { console: 'src/main.tsx' },
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  charset: 'utf8',
  legalComments: 'none', // they stand in licences.txt
  metafile: true,
  write: false,
  outdir: page,
  logLevel: 'warning'
})

const files = new Map(result.outputFiles.map(f => [f.path.slice(page.length + 1), Buffer.from(f.contents)]))
for (const name of ['index.html', 'icon.svg']) files.set(name, readFileSync(join(here, 'src', name)))
files.set('licences.txt', Buffer.from(licences(result.metafile)))

// licences gathers those of all packages of which something is in the page.
function licences (metafile) {
  const folders = new Set(Object.keys(metafile.inputs)
    .map(input => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]).filter(Boolean))
  // mqtt comes as one file that its makers have bundled; these are in it.
  bundled(join(here, 'node_modules/mqtt'), folders)
  let text = 'The console of dlt645-mqtt contains the following software.\n'
  for (const folder of [...folders].sort()) {
    const { name, version, license, author } = JSON.parse(readFileSync(join(here, folder, 'package.json')))
    const file = readdirSync(join(here, folder)).find(f => /^licen[cs]e/i.test(f))
    const by = typeof author === 'string' ? author : author?.name
    text += `\n${'='.repeat(80)}\n${name} ${version}\n\n` +
      (file ? readFileSync(join(here, folder, file), 'utf8').replaceAll('\r', '').trim() : `Licence: ${license}${by ? `, by ${by}` : ''}`) + '\n'
  }
  return text
}

// bundled adds the folders of all that a package needs, and of what that needs.
function bundled (folder, folders) {
  const needs = Object.keys(JSON.parse(readFileSync(join(folder, 'package.json'))).dependencies ?? {})
  for (const name of needs) {
    const its = `node_modules/${name}`
    if (name.startsWith('@types/') || folders.has(its) || !existsSync(join(here, its))) continue
    folders.add(its)
    bundled(join(here, its), folders)
  }
}

const size = [...files.values()].reduce((sum, content) => sum + gzipSync(content, { level: 9 }).length, 0)
console.log(`the page has ${size} bytes, compressed`)
let failed = size > most
if (failed) console.error(`that is more than ${most}`)

// The script is most of the page, so it is kept as browsers get it. What counts is what is in it: not every zlib
// compresses to the same bytes, and what has not changed is not written anew.
const kept = name => name.endsWith('.js') ? `${name}.gz` : name
const read = name => {
  const bytes = readFileSync(join(page, kept(name)))
  return name === kept(name) ? bytes : gunzipSync(bytes)
}
const write = (name, content) => writeFileSync(join(page, kept(name)), name === kept(name) ? content : gzipSync(content, { level: 9 }))

if (process.argv.includes('--check')) {
  const there = new Set(readdirSync(page))
  for (const [name, content] of files) {
    if (!there.delete(kept(name)) || !read(name).equals(content)) {
      console.error(`console/page/${kept(name)} is not what a fresh build makes of console/web; run make console`)
      failed = true
    }
  }
  for (const name of there) {
    console.error(`console/page/${name} comes out of no build`)
    failed = true
  }
} else {
  mkdirSync(page, { recursive: true })
  const there = new Set(readdirSync(page))
  for (const [name, content] of files) if (!there.has(kept(name)) || !read(name).equals(content)) write(name, content)
}
process.exitCode = failed ? 1 : 0
