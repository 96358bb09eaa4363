// Programs that the tests in JavaScript run, of the console and of the Node-RED flows.
import { execFileSync, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'

// find returns the path of the first of these programs that is installed, or undefined.
export function find (...names) {
  for (const name of names) {
    for (const folder of [...process.env.PATH.split(delimiter), '/usr/sbin']) {
      try {
        return execFileSync('realpath', ['-e', join(folder, name)], { encoding: 'utf8', stdio: 'pipe' }).trim()
      } catch {} // not in this folder
    }
  }
}

// launcher returns what starts a program, for which all waits end after so many milliseconds. says waits until its
// output has a line and returns the match, stop ends it.
export const launcher = patience => function program (command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let heard = () => {}
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => { output += text; heard() })
  let over = false
  const ended = new Promise(resolve => child.once('close', resolve).once('error', resolve)).then(() => { over = true; heard() })
  return {
    pid: child.pid,
    output: () => output,
    says (sign) {
      return new Promise((resolve, reject) => {
        const fail = why => reject(new Error(`${why} instead of ${sign} from ${command}; it printed\n${output}`))
        const timer = setTimeout(() => fail('nothing'), patience)
        heard = () => {
          const found = sign.exec(output)
          if (!found && !over) return
          clearTimeout(timer)
          found ? resolve(found) : fail('it ended')
        }
        heard()
      })
    },
    async stop (signal = 'SIGTERM') {
      let late = false
      const timer = setTimeout(() => { late = true; child.kill('SIGKILL') }, patience)
      child.kill(signal)
      await ended
      clearTimeout(timer)
      if (late) throw new Error(`${command} did not stop; it printed\n${output}`)
    }
  }
}

// freePort finds a port that nothing listens on. It lies below those that the system gives to connections, of which
// a browser makes many, so that a broker that starts again finds its own still free.
export async function freePort () {
  for (;;) {
    const port = 10000 + Math.floor(Math.random() * 20000)
    const free = await new Promise((resolve, reject) => {
      const server = createServer()
        .once('error', error => error.code === 'EADDRINUSE' ? resolve(false) : reject(error))
        .listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
    })
    if (free) return port
  }
}
