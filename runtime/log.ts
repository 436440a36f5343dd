// JSON lines on standard error: a fixed lower-case message, so that lines can be counted and
// searched, and everything that varies in fields. Used at the edges only; the core never logs.

import pino from 'pino'

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

export type LogFields = { readonly [name: string]: unknown }

/** Messages are fixed and lower-case; `error` fields named `error` keep their stack and cause. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A log whose every line carries these fields too. */
  with(fields: LogFields): Log
}

/** Where lines go: standard error unless a test or a command gives its own. */
export type LogSink = { write(line: string): void }

/** Lines are written synchronously, so that the last words of a dying process are not lost. */
export const createLog = (options: { readonly level: LogLevel; readonly sink?: LogSink }): Log =>
  wrap(
    pino(
      {
        level: options.level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: label => ({ level: label }) },
        serializers: { error: pino.stdSerializers.errWithCause },
      },
      options.sink ?? pino.destination({ dest: 2, sync: true }),
    ),
  )

/** Says nothing; for tests and for commands that print their own result. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
}

const wrap = (logger: pino.Logger): Log => ({
  debug: (message, fields) => logger.debug(fields ?? {}, message),
  info: (message, fields) => logger.info(fields ?? {}, message),
  warn: (message, fields) => logger.warn(fields ?? {}, message),
  error: (message, fields) => logger.error(fields ?? {}, message),
  with: fields => wrap(logger.child(fields)),
})
