// What the scripts of this folder share: the scenario on the command line, one JSON line per step on standard output.

export const scenario = JSON.parse(process.argv[2])

export const report = (step, values) => process.stdout.write(JSON.stringify({ step, ...values }, jsonValue) + '\n')

// Runs a step; an exception of the client becomes part of the report and ends the script with status 1.
export const step = async (name, work) => {
  try {
    report(name, await work())
  } catch (error) {
    console.error(`${name}: ${error.stack ?? error}`)
    process.exit(1)
  }
}

export const fromHex = (text) => Uint8Array.from(Buffer.from(text.replace(/^0x/, ''), 'hex'))

function jsonValue(_, value) {
  return typeof value === 'bigint' ? value.toString() : value
}
